//! Reading definitions: the vendor's form, held against what he checks himself, and against what we must be able to do with it.
//!
//! Everything that is wrong is told at once, each with its place: whoever mends a file wants to hear of all six. What is odd,
//! and harms nobody here, is a warning. Keys that the vendor shows when a definition is read back are let pass.

use super::kind::FieldType;
use super::path::Path;
use super::problem::{ACTIONS_INVALID, ATTRIBUTE_INVALID, EVENT_NAME_INVALID, FIELD_TYPE_INVALID, Problem};
use super::reader::{At, Form, Read, meant};
use super::tree::Node;
use super::twins::Twins;
use super::{ACTIVE_MAX, Definition, DefinitionFile, FIELDS_MAX, Field, VENDOR_ACTIONS};

/// Most characters of a field's name, as the vendor has it.
const FIELD_NAME_CHARS_MAX: usize = 50;

/// Most characters of an event's name: what a feed may call one.
const EVENT_NAME_CHARS_MAX: usize = 255;

/// Keys of a definition that the vendor shows and nobody writes.
const SHOWN: [&str; 9] = [
    "eventId",
    "eventType",
    "orgId",
    "status",
    "testStatus",
    "label",
    "date",
    "standardEvent",
    "transformerMappings",
];

/// Reads files. `known_actions`: what is known besides the vendor's; `None`: whatever is there is known.
pub(super) fn read(files: &[DefinitionFile], known_actions: Option<&[String]>) -> Read {
    let mut read = Read::default();
    let mut named = Vec::new();
    for file in files {
        let mut form = Form {
            file: &file.name,
            text: file.text.strip_prefix('\u{feff}').unwrap_or(&file.text),
            known_actions,
            read: &mut read,
        };
        named.extend(form.whole());
    }
    let mut twins = Twins::default();
    for (definition, name, place) in &named {
        twins.meet(definition, name, place, &mut read);
    }
    if named.len() > ACTIVE_MAX
        && let Some((_, _, place)) = named.get(ACTIVE_MAX)
    {
        let message = format!(
            "there are {} definitions; the vendor keeps {ACTIVE_MAX} active at a time",
            named.len()
        );
        read.warnings.push(
            place
                .clone()
                .saying(None, message, "all of them count here; not all can be pushed"),
        );
    }
    read.definitions = named.into_iter().map(|(definition, ..)| definition).collect();
    read
}

impl Form<'_> {
    /// The definitions of the file, each with its name and the place of that.
    fn whole(&mut self) -> Vec<(Definition, String, Problem)> {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(self.text) {
            let line = self
                .text
                .lines()
                .nth(error.line().saturating_sub(1))
                .unwrap_or_default();
            let before = line
                .as_bytes()
                .get(..error.column().saturating_sub(1))
                .unwrap_or(line.as_bytes());
            let said = error.to_string();
            let problem = Problem {
                code: None,
                file: self.file.to_owned(),
                line: error.line().max(1) as u64,
                column: 1 + String::from_utf8_lossy(before).chars().count() as u64,
                pointer: String::new(),
                message: format!(
                    "this is no JSON: {}",
                    said.split(" at line ").next().unwrap_or_default()
                ),
                hint: "mend it at the place named".to_owned(),
            };
            self.read.problems.push(problem);
            return Vec::new();
        }
        let from = self.text.len() - self.text.trim_start().len();
        let whole = At {
            range: from..self.text.trim_end().len(),
            pointer: String::new(),
        };
        match self.text.as_bytes()[from] {
            b'{' => self.definition(&whole).into_iter().collect(),
            b'[' => {
                let each = self.elements(&whole);
                each.iter().filter_map(|at| self.definition(at)).collect()
            }
            _ => {
                self.wrong(
                    &whole,
                    Some(ATTRIBUTE_INVALID),
                    "this is no definition",
                    "write an object with `eventName`, `actions` and `fields`, or an array of such",
                );
                Vec::new()
            }
        }
    }

    fn definition(&mut self, at: &At) -> Option<(Definition, String, Problem)> {
        let keys = self.object(
            at,
            "a definition",
            "{\"eventName\": …, \"actions\": […], \"fields\": […]}",
        )?;
        let known = ["eventName", "actions", "description", "fields", "feed"];
        self.look_for_slips(&keys, &known, &SHOWN);
        let get = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, at)| at.clone());

        let name_at = get("eventName");
        let event_name = self.event_name(name_at.as_ref(), at);
        let actions = self.actions(get("actions").as_ref(), at);
        let description = get("description").and_then(|at| self.text(&at));
        let mut fields = match get("fields") {
            Some(fields) => self.fields(&fields),
            None => {
                self.wrong(
                    at,
                    Some(ATTRIBUTE_INVALID),
                    "`fields` is missing",
                    "name at least the customer: {\"name\": \"customer\", \"type\": \"customer\", \"attributes\": {…}}",
                );
                Vec::new()
            }
        };
        let feed_events = match get("feed") {
            Some(feed) => self.feed(&feed, &mut fields),
            None => Vec::new(),
        };
        for (field, at) in &fields {
            if field.sensitive && field.path.root() == "event" {
                self.wrong(
                    at,
                    None,
                    "the name of the event cannot be sensitive: everybody sees it",
                    "remove isPsiData, or let the path lead elsewhere",
                );
            }
        }
        let tree = match Node::of(fields.iter().map(|(field, _)| &field.path)) {
            Ok(tree) => tree,
            Err((one, other)) => {
                let (one, (other, at)) = (&fields[one].0, &fields[other]);
                let message = format!(
                    "the field `{}` would lie at `{}`, and `{}` at `{}`: one is in the other's way",
                    other.name, other.path, one.name, one.path
                );
                self.wrong(&at.clone(), None, message, "mend their paths in `feed.fields`");
                return None;
            }
        };
        let place = self.problem(name_at.as_ref().unwrap_or(at), None, "", "");
        let definition = Definition {
            event_name: event_name.clone()?,
            actions,
            description,
            fields: fields.into_iter().map(|(field, _)| field).collect(),
            feed_events,
            file: self.file.to_owned(),
            tree,
        };
        Some((definition, event_name?, place))
    }

    fn event_name(&mut self, name: Option<&At>, definition: &At) -> Option<String> {
        let code = Some(EVENT_NAME_INVALID);
        let hint = "give it a name of letters, digits and single underscores, such as `hotel_booking`";
        let Some(at) = name else {
            self.wrong(definition, code, "`eventName` is missing", hint);
            return None;
        };
        let Some(name) = self.text(at).filter(|name| !name.trim().is_empty()) else {
            self.wrong(at, code, "`eventName` is no text, or blank", hint);
            return None;
        };
        self.look_at_name(at, code, &name, "eventName", EVENT_NAME_CHARS_MAX);
        Some(name)
    }

    /// What the vendor says of names.
    fn look_at_name(&mut self, at: &At, code: Option<u16>, name: &str, what: &str, chars_max: usize) {
        if let Some(odd) = name
            .chars()
            .find(|letter| !letter.is_ascii_alphanumeric() && *letter != '_')
        {
            let odd = match odd {
                ' ' => "a blank".to_owned(),
                odd => format!("`{odd}`"),
            };
            let hint = match what {
                "eventName" => "use letters, digits and `_`; what the event is called in feeds is said by `feed.event`",
                _ => "use letters, digits and `_`; where the field lies in an entry is said by `feed.fields`",
            };
            self.wrong(at, code, format!("{odd} is in the {what} `{name}`"), hint);
        } else if name.chars().count() > chars_max {
            let message = format!("the {what} has {} characters", name.chars().count());
            self.wrong(at, code, message, &format!("at most {chars_max} are allowed"));
        } else if name.contains("__") {
            let message = format!("two underscores follow each other in the {what} `{name}`");
            self.odd(at, code, message, "avoid them: that is how the vendor stores a blank");
        }
    }

    fn actions(&mut self, actions: Option<&At>, definition: &At) -> Vec<String> {
        let code = Some(ACTIONS_INVALID);
        let hint = "say where the event is for: [\"EIConsumer\"], [\"EMFConsumer\"], both, or what a destination lists under `actions`";
        let Some(at) = actions else {
            self.wrong(definition, code, "`actions` is missing", hint);
            return Vec::new();
        };
        let mut found = Vec::new();
        let each = match self.text.as_bytes()[at.range.start] {
            b'[' => self.elements(at),
            _ => vec![at.clone()],
        };
        if each.is_empty() {
            self.wrong(at, code, "`actions` is empty", hint);
        }
        for at in each {
            let Some(action) = self.text(&at) else {
                self.wrong(&at, code, "an action is no text", hint);
                continue;
            };
            let is_known = match self.known_actions {
                None => true,
                Some(known) => VENDOR_ACTIONS.contains(&action.as_str()) || known.contains(&action),
            };
            if !is_known {
                let known = self.known_actions.unwrap_or_default().iter().map(String::as_str);
                let known: Vec<&str> = VENDOR_ACTIONS.into_iter().chain(known).collect();
                let message = format!("there is no action `{action}`{}", meant(&action, known.iter().copied()));
                let hint = format!("one of {} is wanted", known.join(", "));
                self.wrong(&at, code, message, &hint);
            }
            if !found.contains(&action) {
                found.push(action);
            }
        }
        found
    }

    fn fields(&mut self, at: &At) -> Vec<(Field, At)> {
        let code = Some(ATTRIBUTE_INVALID);
        if self.text.as_bytes()[at.range.start] != b'[' {
            self.wrong(
                at,
                code,
                "`fields` is no array",
                "write [{\"name\": …, \"type\": …, \"attributes\": {…}}, …]",
            );
            return Vec::new();
        }
        let each = self.elements(at);
        if each.len() > FIELDS_MAX {
            let message = format!("there are {} fields; the vendor allows {FIELDS_MAX}", each.len());
            self.wrong(at, code, message, "remove those that nobody needs");
        }
        let mut fields: Vec<(Field, At)> = Vec::new();
        let before = self.read.problems.len();
        for at in each {
            let Some(field) = self.field(&at) else { continue };
            if fields.iter().any(|(other, _)| other.name == field.name) {
                let message = format!("there are two fields of the name `{}`", field.name);
                self.wrong(&at, code, message, "remove one of the two, or give it another name");
            }
            fields.push((field, at));
        }
        let is_sound = self.read.problems.len() == before;
        if is_sound && !fields.iter().any(|(field, _)| field.kind == FieldType::Customer) {
            self.wrong(
                at,
                code,
                "no field is of type `customer`: nobody would know whose event it is",
                "add {\"name\": \"customer\", \"type\": \"customer\", \"attributes\": {\"identifierType\": {\"value\": \"externalId\", \"valueType\": \"Enum\"}}}",
            );
        }
        fields
    }

    fn field(&mut self, at: &At) -> Option<Field> {
        let code = Some(ATTRIBUTE_INVALID);
        let keys = self.object(at, "a field", "{\"name\": …, \"type\": …, \"attributes\": {…}}")?;
        self.look_for_slips(
            &keys,
            &["name", "type", "attributes"],
            &["value", "label", "description"],
        );
        let get = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, at)| at.clone());

        let name = get("name").and_then(|at| Some((self.text(&at).filter(|name| !name.trim().is_empty())?, at)));
        match &name {
            Some((name, at)) => self.look_at_name(at, code, name, "name of a field", FIELD_NAME_CHARS_MAX),
            None => self.wrong(at, code, "the field has no name", "add \"name\": \"…\""),
        }
        let kind = self.kind(get("type").as_ref(), at);
        let attributes = self.attributes(get("attributes").as_ref(), kind);
        let (name, kind) = (name?.0, kind?);
        let mut field = Field {
            path: Path::at_root(&name),
            name,
            kind,
            required: attributes.required || attributes.unique,
            unique: attributes.unique,
            sensitive: attributes.sensitive,
            identifier: attributes.identifier,
            add_customer: attributes.add_customer,
            regex: attributes.regex,
            possible_values: attributes.possible_values,
            others: attributes.others,
        };
        field.path = field.default_path();
        self.look_at_attributes(at, &field, attributes.required);
        Some(field)
    }

    fn kind(&mut self, at: Option<&At>, field: &At) -> Option<FieldType> {
        let known: Vec<&str> = FieldType::ALL.iter().map(|kind| kind.as_str()).collect();
        let hint = format!("one of {} is wanted", known.join(", "));
        let Some(at) = at else {
            self.wrong(field, Some(FIELD_TYPE_INVALID), "the field has no type", &hint);
            return None;
        };
        let written = self.text(at).unwrap_or_default();
        let kind = FieldType::parse(&written);
        if kind.is_none() {
            let message = format!("there is no type `{written}`{}", meant(&written, known.into_iter()));
            self.wrong(at, Some(FIELD_TYPE_INVALID), message, &hint);
        }
        kind
    }

    /// Our own key: what the event is called in feeds, and where its fields lie.
    fn feed(&mut self, at: &At, fields: &mut [(Field, At)]) -> Vec<String> {
        let form = "{\"event\": \"Completed Order\", \"fields\": {\"sku\": \"cart.products[].sku\"}}";
        let Some(keys) = self.object(at, "`feed`", form) else {
            return Vec::new();
        };
        self.look_for_slips(&keys, &["event", "fields"], &[]);
        let mut events = Vec::new();
        for (key, at) in keys {
            match key.as_str() {
                "event" => {
                    let each = match self.text.as_bytes()[at.range.start] {
                        b'[' => self.elements(&at),
                        _ => vec![at],
                    };
                    for at in each {
                        match self.text(&at).filter(|name| !name.trim().is_empty()) {
                            Some(name) => events.push(name),
                            None => self.wrong(
                                &at,
                                None,
                                "`feed.event` is no text, or blank",
                                "write \"Completed Order\", or an array of such",
                            ),
                        }
                    }
                }
                "fields" => self.paths(&at, fields),
                _ => {}
            }
        }
        events
    }

    fn paths(&mut self, at: &At, fields: &mut [(Field, At)]) {
        let Some(paths) = self.object(at, "`feed.fields`", "{\"sku\": \"cart.products[].sku\"}") else {
            return;
        };
        for (name, at) in paths {
            let Some((field, _)) = fields.iter_mut().find(|(field, _)| field.name == name) else {
                let known = fields.iter().map(|(field, _)| field.name.as_str());
                let message = format!("there is no field `{name}`{}", meant(&name, known));
                self.wrong(&at, None, message, "name a field of this definition");
                continue;
            };
            match self
                .text(&at)
                .ok_or_else(|| "it is no text".to_owned())
                .and_then(|path| Path::parse(&path))
            {
                Ok(path) => field.path = path,
                Err(why) => {
                    let message = format!("this is no path to `{name}`: {why}");
                    self.wrong(
                        &at,
                        None,
                        message,
                        "write `orderId`, `cart.total` or `cart.products[].sku`",
                    );
                }
            }
        }
    }
}
