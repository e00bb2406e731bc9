//! What has to be done so that the vendor's definitions are like ours.
//!
//! Pure: what is here, what is there, and what follows. Definitions that are there alone are left alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::form::{FieldForm, Form};
use crate::definition::ACTIVE_MAX;

/// What is to be done, definition by definition, ours in their order, then what is there alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// The definitions.
    pub(crate) steps: Vec<Step>,
    /// What is to be said of the whole.
    pub(crate) warnings: Vec<String>,
}

/// What is to be done about one definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// The event's name.
    pub(crate) event: String,
    /// What is to be done.
    pub(crate) action: Action,
    /// What would be different there afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<String>,
    /// What the vendor may have against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// What the vendor has against it: it is not sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) forbidden: Vec<String>,
}

/// What is to be done about a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// It is not there: `POST`.
    Create,
    /// It is there, and otherwise: `PUT`.
    Update,
    /// It is there, and the same.
    Nothing,
    /// It is there, otherwise, and cannot be made like ours.
    Forbidden,
    /// It is not ours.
    Theirs,
}

impl Plan {
    /// What follows from ours and theirs, each in the vendor's form.
    pub(crate) fn of(ours: &[Value], theirs: &[Value]) -> Plan {
        let mut theirs: Vec<Form> = theirs.iter().filter_map(Form::of).collect();
        let active = theirs.iter().filter(|form| !form.is_standard).count();
        let mut steps = Vec::new();
        for form in ours.iter().filter_map(Form::of) {
            let found = theirs.iter().position(|there| there.name == form.name);
            // Whether the vendor tells names apart by case is not known: so nothing is made beside one that differs in that alone.
            let found = found.or_else(|| {
                theirs
                    .iter()
                    .position(|there| there.name.eq_ignore_ascii_case(&form.name))
            });
            steps.push(match found {
                Some(index) => update(&form, &theirs.remove(index)),
                None => create(&form),
            });
        }
        let created = steps.iter().filter(|step| step.action == Action::Create).count();
        let mut warnings = Vec::new();
        if active + created > ACTIVE_MAX {
            warnings.push(format!(
                "the vendor keeps at most {ACTIVE_MAX} events active, and there would be {}: some may be refused, or have to be \
                 disabled there",
                active + created
            ));
        }
        steps.extend(theirs.iter().filter(|form| !form.is_standard).map(|form| Step {
            event: form.name.clone(),
            action: Action::Theirs,
            changes: Vec::new(),
            warnings: Vec::new(),
            forbidden: Vec::new(),
        }));
        Plan { steps, warnings }
    }

    /// Whether there is something to send.
    pub(crate) fn has_something_to_send(&self) -> bool {
        self.steps.iter().any(Step::is_to_be_sent)
    }
}

impl Step {
    /// Whether something is to be sent for it.
    pub(crate) fn is_to_be_sent(&self) -> bool {
        matches!(self.action, Action::Create | Action::Update)
    }
}

fn create(form: &Form) -> Step {
    let fields = form.fields.iter();
    Step {
        event: form.name.clone(),
        action: Action::Create,
        changes: fields.map(|(name, field)| added(name, field)).collect(),
        warnings: Vec::new(),
        forbidden: Vec::new(),
    }
}

fn update(ours: &Form, theirs: &Form) -> Step {
    let mut step = Step {
        event: ours.name.clone(),
        action: Action::Nothing,
        changes: Vec::new(),
        warnings: Vec::new(),
        forbidden: Vec::new(),
    };
    if ours.name != theirs.name {
        step.warnings.push(format!("it is called `{}` there", theirs.name));
    }
    let actions = |form: &Form| form.actions.join(", ");
    for (what, old, new) in [
        ("actions", actions(theirs), actions(ours)),
        ("description", theirs.description.clone(), ours.description.clone()),
    ] {
        if old != new {
            step.changes.push(changed(what, &old, &new));
        }
    }
    let mut touched = Vec::new();
    for (name, field) in &ours.fields {
        match theirs.fields.get(name) {
            None => step.changes.push(added(name, field)),
            Some(there) if there == field => {}
            Some(there) => {
                touched.push(name.as_str());
                compare(name, field, there, &mut step);
            }
        }
    }
    for (name, there) in &theirs.fields {
        if ours.fields.contains_key(name) {
            continue;
        }
        touched.push(name);
        step.changes.push(format!("field `{name}` is taken away"));
        if there.is_unique() {
            step.forbidden.push(for_good(name));
        }
    }
    if theirs.is_published && !touched.is_empty() {
        step.warnings.push(format!(
            "it is published there, and the vendor says that fields cannot be changed or taken away then: {}",
            touched.join(", ")
        ));
    }
    if !step.forbidden.is_empty() {
        step.action = Action::Forbidden;
    } else if !step.changes.is_empty() {
        step.action = Action::Update;
    }
    step
}

fn compare(name: &str, ours: &FieldForm, theirs: &FieldForm, step: &mut Step) {
    if ours.kind != theirs.kind {
        step.changes
            .push(changed(&format!("field `{name}`: type"), &theirs.kind, &ours.kind));
    }
    let mut both: BTreeMap<&String, (&str, &str)> = BTreeMap::new();
    for (attribute, value) in &theirs.attributes {
        both.entry(attribute).or_default().0 = value;
    }
    for (attribute, value) in &ours.attributes {
        both.entry(attribute).or_default().1 = value;
    }
    for (attribute, (old, new)) in both.into_iter().filter(|(_, (old, new))| old != new) {
        step.changes
            .push(changed(&format!("field `{name}`: {attribute}"), old, new));
    }
    if theirs.is_unique() && !ours.is_unique() {
        step.forbidden.push(for_good(name));
    }
}

fn for_good(name: &str) -> String {
    format!(
        "`{name}` is part of the unique key there, and the vendor lets nobody take that back: keep `isUniqueKeyField`"
    )
}

fn added(name: &str, field: &FieldForm) -> String {
    let attributes: Vec<String> = field
        .attributes
        .iter()
        .map(|(attribute, value)| match value.as_str() {
            "true" => attribute.clone(),
            value => format!("{attribute} {value}"),
        })
        .collect();
    match attributes.is_empty() {
        true => format!("field `{name}` is new: {}", field.kind),
        false => format!("field `{name}` is new: {}, {}", field.kind, attributes.join(", ")),
    }
}

fn changed(what: &str, old: &str, new: &str) -> String {
    let shown = |text: &str| match text.is_empty() {
        true => "nothing".to_owned(),
        false => format!("`{text}`"),
    };
    format!("{what}: {} becomes {}", shown(old), shown(new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn booking(fields: Value, more: Value) -> Value {
        let mut form = json!({"eventName": "hotel_booking", "actions": ["EIConsumer"], "fields": fields});
        let more = more.as_object().cloned().unwrap_or_default();
        form.as_object_mut().expect("an object").extend(more);
        form
    }

    fn field(name: &str, kind: &str, attributes: Value) -> Value {
        json!({"name": name, "type": kind, "attributes": attributes})
    }

    fn only(ours: Value, theirs: Value) -> Step {
        Plan::of(&[ours], &[theirs]).steps.remove(0)
    }

    #[test]
    fn what_is_new_and_what_is_theirs() {
        let ours = booking(
            json!([field("age", "double", json!({"isPsiData": {"value": "true"}}))]),
            json!({}),
        );
        let plan = Plan::of(
            &[ours],
            &[
                json!({"eventName": "other"}),
                json!({"eventName": "App Installed", "standardEvent": true}),
            ],
        );
        let told: Vec<(&str, Action)> = plan
            .steps
            .iter()
            .map(|step| (step.event.as_str(), step.action))
            .collect();
        assert_eq!(told, [("hotel_booking", Action::Create), ("other", Action::Theirs)]);
        assert_eq!(plan.steps[0].changes, ["field `age` is new: double, isPsiData"]);
        assert!(plan.has_something_to_send() && plan.warnings.is_empty());
    }

    #[test]
    fn what_is_the_same_needs_nothing() {
        let ours = booking(json!([field("sku", "productSku", json!({}))]), json!({}));
        let theirs = booking(
            json!([field("sku", "PRODUCTSKU", json!({}))]),
            json!({"status": "PUBLISHED"}),
        );
        let step = only(ours, theirs);
        assert_eq!(
            (step.action, step.changes.len(), step.warnings.len()),
            (Action::Nothing, 0, 0)
        );
    }

    #[test]
    fn changes_field_by_field() {
        let ours = booking(
            json!([
                field("a", "double", json!({"regex": {"value": "x"}})),
                field("new", "string", json!({}))
            ]),
            json!({"description": "more"}),
        );
        let theirs = booking(
            json!([
                field("a", "STRING", json!({"isRequired": {"value": "true"}})),
                field("old", "STRING", json!({}))
            ]),
            json!({"status": "DRAFT", "actions": []}),
        );
        let step = only(ours, theirs);
        assert_eq!(step.action, Action::Update);
        assert_eq!(
            step.changes,
            [
                "actions: nothing becomes `EIConsumer`",
                "description: nothing becomes `more`",
                "field `a`: type: `string` becomes `double`",
                "field `a`: isRequired: `true` becomes nothing",
                "field `a`: regex: nothing becomes `x`",
                "field `new` is new: string",
                "field `old` is taken away",
            ]
        );
        assert!(step.warnings.is_empty());
    }

    #[test]
    fn what_the_vendor_forbids_is_not_sent() {
        let unique = json!({"isUniqueKeyField": {"value": "true"}});
        let theirs = booking(json!([field("id", "STRING", unique)]), json!({}));
        for fields in [json!([]), json!([field("id", "string", json!({}))])] {
            let step = only(booking(fields, json!({})), theirs.clone());
            assert_eq!(step.action, Action::Forbidden);
            assert!(
                !step.is_to_be_sent() && step.forbidden[0].contains("keep `isUniqueKeyField`"),
                "{step:?}"
            );
        }
    }

    #[test]
    fn what_is_published_can_be_added_to() {
        let theirs = booking(json!([field("a", "STRING", json!({}))]), json!({"status": "PUBLISHED"}));
        let more = booking(
            json!([field("a", "string", json!({})), field("b", "string", json!({}))]),
            json!({}),
        );
        assert!(only(more, theirs.clone()).warnings.is_empty());
        let other = booking(json!([field("a", "double", json!({}))]), json!({}));
        let step = only(other, theirs);
        assert_eq!(step.action, Action::Update);
        assert!(
            step.warnings[0].contains("published there") && step.warnings[0].ends_with(": a"),
            "{step:?}"
        );
    }

    #[test]
    fn names_that_differ_in_case_alone_are_one() {
        let mut theirs = booking(json!([]), json!({}));
        theirs["eventName"] = json!("Hotel_Booking");
        let step = only(booking(json!([]), json!({})), theirs);
        assert_eq!((step.action, step.warnings.len()), (Action::Nothing, 1));
    }

    #[test]
    fn more_events_than_the_vendor_keeps() {
        let theirs: Vec<Value> = (0..ACTIVE_MAX).map(|n| json!({"eventName": format!("e{n}")})).collect();
        assert!(Plan::of(&[], &theirs).warnings.is_empty());
        let plan = Plan::of(&[booking(json!([]), json!({}))], &theirs);
        assert!(plan.warnings[0].contains("there would be 11"), "{plan:?}");
    }
}
