//! Definitions as text: in the vendor's form, as `push` sends it; with our key, as the ledger freezes it.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Definition, Field};

/// The canonical text of a set.
pub(super) fn text(all: &[Definition]) -> String {
    Value::Array(all.iter().map(Definition::with_feed).collect()).to_string()
}

/// SHA-256 of a text, in hex.
pub(super) fn hash(text: &str) -> String {
    crate::hex::hex(&Sha256::digest(text.as_bytes()))
}

impl Definition {
    /// As the vendor's create-event call takes it.
    pub fn to_vendor(&self) -> Value {
        let mut form = Map::new();
        form.insert("eventName".to_owned(), json!(self.event_name));
        form.insert("actions".to_owned(), json!(self.actions));
        if let Some(description) = &self.description {
            form.insert("description".to_owned(), json!(description));
        }
        let fields: Vec<Value> = self.fields.iter().map(Field::to_vendor).collect();
        form.insert("fields".to_owned(), Value::Array(fields));
        Value::Object(form)
    }

    /// The same with the key `feed`, if it says anything.
    fn with_feed(&self) -> Value {
        let mut form = self.to_vendor();
        let mut feed = Map::new();
        if !self.feed_events.is_empty() {
            feed.insert("event".to_owned(), json!(self.feed_events));
        }
        let moved = self.fields.iter().filter(|field| field.path != field.default_path());
        let moved: Map<String, Value> = moved
            .map(|field| (field.name.clone(), json!(field.path.to_string())))
            .collect();
        if !moved.is_empty() {
            feed.insert("fields".to_owned(), Value::Object(moved));
        }
        if !feed.is_empty() {
            form["feed"] = Value::Object(feed);
        }
        form
    }
}

impl Field {
    fn to_vendor(&self) -> Value {
        let mut attributes = Map::new();
        for (name, is_set) in [
            ("addCustomerIfNotExists", self.add_customer),
            ("isRequired", self.required),
            ("isUniqueKeyField", self.unique),
            ("isPsiData", self.sensitive),
        ] {
            if is_set {
                attributes.insert(name.to_owned(), json!({ "value": "true", "valueType": "Boolean" }));
            }
        }
        let mut text = |name: &str, value: &str, kind: &str| {
            attributes.insert(name.to_owned(), json!({ "value": value, "valueType": kind }));
        };
        if let Some(identifier) = self.identifier {
            text("identifierType", identifier.as_str(), "Enum");
        }
        if let Some(regex) = &self.regex {
            text("regex", regex.as_str(), "String");
        }
        if !self.possible_values.is_empty() {
            // A list, as it is read back: a value may have a comma in it.
            let values = json!({ "values": self.possible_values, "valueType": "LIST" });
            attributes.insert("possibleValues".to_owned(), values);
        }
        for (name, value) in &self.others {
            attributes.insert(name.clone(), value.clone());
        }
        json!({ "name": self.name, "type": self.kind.as_str(), "attributes": attributes })
    }
}
