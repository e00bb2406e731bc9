//! Drafts: what follows from what was seen.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::candidate::{Candidate, candidates, flag};
use super::names::name_of;
use super::place::Place;
use super::seen::{Seen, SeenEvent};
use crate::definition::{FIELDS_MAX, IdentifierType};

/// Names that fields do not get: they mean something else to the vendor.
const TAKEN: [&str; 5] = ["customer", "event_name", "eventDateTime", "orgResolver", "tillCode"];

/// A draft of one definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Draft {
    /// The event's name, as the draft has it.
    pub event_name: String,
    /// What the feed calls it, in all spellings.
    pub feed_events: Vec<String>,
    /// Entries of it in the sample.
    pub entries: u64,
    /// The definition, as its file would have it.
    pub definition: Value,
    /// What was seen, place by place.
    pub fields: Vec<DraftField>,
    /// What people should know of it.
    pub remarks: Vec<String>,
}

/// A place of which something was seen, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DraftField {
    /// Where it lies.
    pub path: String,
    /// What its field is called in the draft; none: it is not in it.
    pub field: Option<String>,
    /// The types that were seen.
    pub types: String,
    /// How often it was there.
    pub there: u64,
    /// How often it could have been: in entries, objects or elements.
    pub of: u64,
    /// How many different values: `7`, or `more than 65536`.
    pub distinct: String,
    /// Why it is not in the draft, or what it is there.
    pub remark: String,
}

impl Seen {
    /// A draft for each event, in the order in which they were seen first.
    pub fn drafts(&self) -> Vec<Draft> {
        let mut names = Vec::new();
        let mut drafts = Vec::new();
        for event in self.events() {
            let name = name_of(&event.names[0], "event", &names);
            names.push(name.clone());
            drafts.push(draft(event, name));
        }
        drafts
    }
}

fn draft(event: &SeenEvent, event_name: String) -> Draft {
    let candidates = candidates(&event.root);
    let customer = Customer::of(event);
    let chosen = choose(&candidates, &customer);
    let unique = chosen
        .iter()
        .copied()
        .find(|&index| candidates[index].is_identifying(event.entries));

    let mut taken: Vec<String> = TAKEN.map(str::to_owned).to_vec();
    taken.push(customer.identifier.as_str().to_owned());
    let mut fields = vec![customer.field()];
    let mut paths = Map::new();
    let mut rows = Vec::new();
    let mut remarks = customer.remarks(event);
    let mut delicate = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let mut row = candidate.row();
        if !chosen.contains(&index) {
            row.remark = match candidate.kind {
                Err(why) => why.to_owned(),
                Ok(_) => format!("left out: a definition has at most {FIELDS_MAX} fields"),
            };
            remarks.push(format!("`{}` is not in the draft: {}", candidate.path, row.remark));
            rows.push(row);
            continue;
        }
        let name = name_of(&candidate.path, "field", &taken);
        taken.push(name.clone());
        if name != candidate.path {
            paths.insert(name.clone(), json!(candidate.path));
        }
        let is_unique = unique == Some(index);
        if is_unique {
            row.remark = "unique key".to_owned();
            remarks.push(format!(
                "`{}` is always there and never twice the same: the draft makes it the unique key; the vendor lets nobody take that \
                 back",
                candidate.path
            ));
        } else if candidate.tells_apart(event.entries) {
            row.remark = "never twice the same".to_owned();
        }
        if candidate.is_delicate() {
            delicate.push(candidate.path.clone());
        }
        fields.push(candidate.field(&name, is_unique));
        row.field = Some(name);
        rows.push(row);
    }
    if has_passed_over(&event.root) {
        remarks
            .push("some keys were not looked at: too many, too deep, or with a point or a bracket in them".to_owned());
    }
    let mut description = format!("Drafted from {} entries of a sample.", event.entries);
    if !delicate.is_empty() {
        let delicate = delicate.join(", ");
        description.push_str(&format!(" May be sensitive (isPsiData): {delicate}."));
        remarks.push(format!(
            "may be sensitive, by their names: {delicate}; think of `isPsiData`"
        ));
    }
    let mut feed = json!({ "event": event.names });
    if let [name] = &event.names[..] {
        feed["event"] = json!(name);
    }
    if !paths.is_empty() {
        feed["fields"] = Value::Object(paths);
    }
    let definition = json!({
        "eventName": event_name,
        "description": description,
        "actions": ["EIConsumer"],
        "fields": fields,
        "feed": feed,
    });
    Draft {
        event_name,
        feed_events: event.names.clone(),
        entries: event.entries,
        definition,
        fields: rows,
        remarks,
    }
}

/// By what the draft knows a customer.
struct Customer {
    identifier: IdentifierType,
    is_always_there: bool,
}

impl Customer {
    /// By what more entries have; not by what some have in a way that is none.
    fn of(event: &SeenEvent) -> Customer {
        let is_sound = |key: &str| {
            let place = event.root.members.iter().find(|(name, _)| name == key);
            place.is_none_or(|(_, place)| place.holds_names())
        };
        let known = [
            (IdentifierType::ExternalId, event.with_id),
            (IdentifierType::Email, event.with_email),
        ];
        let (mut identifier, mut there) = known[0];
        for (other, with) in known {
            let is_better = (is_sound(other.key()), with) > (is_sound(identifier.key()), there);
            if is_better {
                (identifier, there) = (other, with);
            }
        }
        Customer {
            identifier,
            is_always_there: there == event.entries,
        }
    }

    fn field(&self) -> Value {
        let mut attributes = Map::new();
        if self.is_always_there {
            attributes.insert("isRequired".to_owned(), flag());
        }
        let identifier = json!({ "value": self.identifier.as_str(), "valueType": "Enum" });
        attributes.insert("identifierType".to_owned(), identifier);
        json!({ "name": "customer", "type": "customer", "attributes": attributes })
    }

    fn remarks(&self, event: &SeenEvent) -> Vec<String> {
        if self.is_always_there {
            return Vec::new();
        }
        vec![format!(
            "of {} entries {} have an `id` and {} an `email`: the draft knows customers by `{}`, and does not require it",
            event.entries,
            event.with_id,
            event.with_email,
            self.identifier.key()
        )]
    }
}

/// The places that become fields: no more than there may be, with room for the customer. What is always there comes before the
/// rest, what lies at the root before what lies deep.
fn choose(candidates: &[Candidate<'_>], customer: &Customer) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.retain(|&index| candidates[index].kind.is_ok());
    order.sort_by_key(|&index| {
        let candidate = &candidates[index];
        let is_identifier = candidate.keys == [customer.identifier.key()];
        (is_identifier, !candidate.is_always_there, candidate.keys.len(), index)
    });
    order.truncate(FIELDS_MAX - 1);
    order
}

fn has_passed_over(place: &Place) -> bool {
    let below = place.members.iter().map(|(_, member)| member);
    place.passed_over > 0 || below.chain(place.each.as_deref()).any(has_passed_over)
}
