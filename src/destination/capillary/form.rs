//! A definition in the vendor's form, as far as it can be told apart from another.
//!
//! He spells it differently where he gives it back: types in capitals, `true` with or without quotation marks, values of an
//! enumeration as a list, attributes that are off beside those that are not there. None of that is a difference.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::definition::{FieldType, IdentifierType};

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) name: String,
    /// In order.
    pub(super) actions: Vec<String>,
    pub(super) description: String,
    /// In order of their names.
    pub(super) fields: BTreeMap<String, FieldForm>,
    /// Whether it is published: what is there cannot be changed any more.
    pub(super) is_published: bool,
    /// Whether it is one of the vendor's own.
    pub(super) is_standard: bool,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldForm {
    pub(super) kind: String,
    /// Those that say something, each as one text.
    pub(super) attributes: BTreeMap<String, String>,
}

impl Form {
    /// Reads a definition; `None` if it has no name.
    pub(super) fn of(json: &Value) -> Option<Form> {
        let text = |key: &str| json.get(key).map(text_of).unwrap_or_default();
        let list = |key: &str| {
            json.get(key)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let mut actions: Vec<String> = list("actions").iter().map(text_of).collect();
        actions.sort();
        actions.dedup();
        Some(Form {
            name: json.get("eventName")?.as_str()?.to_owned(),
            actions,
            description: text("description"),
            fields: list("fields").iter().filter_map(field).collect(),
            is_published: text("status").eq_ignore_ascii_case("PUBLISHED"),
            is_standard: is_set(&text("standardEvent")),
        })
    }
}

impl FieldForm {
    /// Whether it is part of the unique key.
    pub(super) fn is_unique(&self) -> bool {
        self.attributes.contains_key("isUniqueKeyField")
    }
}

fn field(json: &Value) -> Option<(String, FieldForm)> {
    let kind = json.get("type").map(text_of).unwrap_or_default();
    let attributes = json.get("attributes").and_then(Value::as_object);
    let attributes = attributes.into_iter().flatten().filter_map(|(name, attribute)| {
        let value = attribute.get("value").or_else(|| attribute.get("values"));
        let value = value_of(name, value.unwrap_or(attribute));
        let says_something = !value.is_empty() && value != "false";
        says_something.then(|| (name.clone(), value))
    });
    Some((
        json.get("name")?.as_str()?.to_owned(),
        FieldForm {
            kind: FieldType::parse(&kind).map_or(kind, |kind| kind.as_str().to_owned()),
            attributes: attributes.collect(),
        },
    ))
}

/// An attribute's value in one spelling.
fn value_of(attribute: &str, value: &Value) -> String {
    let text = text_of(value);
    if attribute == "identifierType" {
        return IdentifierType::parse(&text).map_or(text, |identifier| identifier.as_str().to_owned());
    }
    match text.to_ascii_lowercase() {
        lower if is_set(&lower) || lower == "false" => lower,
        _ => text,
    }
}

fn is_set(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// A value as one text; of a list its elements, with commas between them.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => elements.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_and_what_is_read_back_is_one() {
        let written = json!({
            "eventName": "hotel_booking", "description": "A stay", "actions": ["EMFConsumer", "EIConsumer"],
            "fields": [
                {"name": "customer", "type": "customer", "attributes": {
                    "isRequired": {"value": "true", "valueType": "Boolean"},
                    "identifierType": {"value": "externalId", "valueType": "Enum"}}},
                {"name": "room", "type": "enum", "attributes": {
                    "possibleValues": {"value": "single,double", "valueType": "String"}}},
                {"name": "sku", "type": "productSku", "attributes": {}},
            ],
        });
        let read = json!({
            "eventId": 7, "eventName": "hotel_booking", "description": "A stay", "actions": ["EIConsumer", "EMFConsumer"],
            "fields": [
                {"name": "sku", "type": "PRODUCT_SKU", "attributes": {"isRequired": {"value": false, "valueType": "BOOLEAN"}}},
                {"name": "room", "type": "ENUM", "attributes": {
                    "possibleValues": {"valueType": "LIST", "values": ["single", "double"]}}},
                {"name": "customer", "type": "CUSTOMER", "attributes": {
                    "isRequired": {"value": true}, "isPsiData": {"value": "FALSE"}, "accountId": null,
                    "identifierType": {"value": "EXTERNAL_ID", "valueType": "ENUM"}}},
            ],
        });
        assert_eq!(Form::of(&written), Form::of(&read));
        let published = json!({"eventName": "a", "status": "Published", "standardEvent": true});
        let published = Form::of(&published).expect("a form");
        assert!(published.is_published && published.is_standard);
    }

    #[test]
    fn what_is_no_definition() {
        for json in [json!(null), json!([]), json!({}), json!({"eventName": 7}), json!("a")] {
            assert_eq!(Form::of(&json), None, "{json}");
        }
        let odd = json!({"eventName": "a", "fields": [7, {}, {"name": 1}], "actions": "EIConsumer"});
        let odd = Form::of(&odd).expect("a form");
        assert!(odd.fields.is_empty() && odd.actions.is_empty());
    }
}
