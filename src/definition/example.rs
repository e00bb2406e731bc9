//! An entry made up after a definition: what a partner may begin with.

use serde_json::{Map, Value, json};

use super::kind::FieldType;
use super::path::Step;
use super::{Definition, Field};

/// Texts among which one is looked for that a pattern matches.
const CANDIDATES: [&str; 16] = [
    "A1", "1", "12", "123", "1234", "12345", "123456", "12345678", "A", "AB", "ABC", "AB12", "ABC123", "AB-123", "a",
    "abc",
];

impl Definition {
    /// What this event is called in a feed: the first of its names there, else its own.
    pub fn feed_event(&self) -> &str {
        self.feed_events.first().unwrap_or(&self.event_name)
    }

    /// An entry with all of its fields, and those that every entry needs. The second are fields whose pattern no value was
    /// found for: there it holds a text that does not match.
    pub fn example(&self) -> (Value, Vec<&Field>) {
        let mut entry = json!({
            "event": self.feed_event(),
            "id": "DE85328",
            "timestamp": "2024-05-22T22:00:00Z",
        });
        let mut guessed = Vec::new();
        for field in &self.fields {
            if matches!(field.path.steps(), [Step::Key(key)] if key == "event") {
                continue;
            }
            let value = match value(field) {
                Some(value) => value,
                None => {
                    guessed.push(field);
                    json!("…")
                }
            };
            put(&mut entry, field.path.steps(), value);
        }
        (entry, guessed)
    }
}

fn put(into: &mut Value, steps: &[Step], value: Value) {
    match steps {
        [] => *into = value,
        [Step::Key(key), rest @ ..] => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            put(&mut into[key.as_str()], rest, value);
        }
        [Step::Each, rest @ ..] => {
            if !into.is_array() {
                *into = json!([null]);
            }
            put(&mut into[0], rest, value);
        }
    }
}

/// A value that fits.
fn value(field: &Field) -> Option<Value> {
    let usual = match field.kind {
        _ if !field.possible_values.is_empty() => field.possible_values[0].as_str(),
        FieldType::Customer => match field.path.leaf() {
            "email" => "ada@example.com",
            "mobile" => "49170000000",
            _ => "DE85328",
        },
        FieldType::Double => "49.99",
        FieldType::Integer => "2",
        FieldType::Boolean => "true",
        FieldType::Date => "2024-05-22",
        FieldType::CurrencyCode => "EUR",
        FieldType::ProductSku => "AB1234",
        FieldType::ProductBrand => "Example",
        FieldType::ProductCategory => "Hats",
        FieldType::TillCode => "till.1",
        FieldType::CouponCode => "SUMMER16",
        FieldType::GroupId => "G1",
        FieldType::String | FieldType::Enum => "example",
    };
    let fits = |text: &&str| field.regex.as_ref().is_none_or(|regex| regex.matches(text));
    let is_text = !matches!(field.kind, FieldType::Double | FieldType::Integer | FieldType::Boolean);
    let others: &[&str] = if is_text { &CANDIDATES } else { &[] };
    let possible = field.possible_values.iter().map(String::as_str);
    let mut texts = possible.chain([usual]).chain(others.iter().copied());
    let text = texts.find(|text| {
        fits(text) && (field.possible_values.is_empty() || field.possible_values.iter().any(|one| one == text))
    })?;
    match is_text {
        true => Some(json!(text)),
        false => serde_json::from_str(text).ok(),
    }
}
