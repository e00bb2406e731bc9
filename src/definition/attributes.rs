//! The attributes of a field: `{"value": …, "valueType": …}`, whose value is a text even where it is true or false.

use serde_json::Value;

use super::Field;
use super::kind::{FieldType, IdentifierType};
use super::problem::ATTRIBUTE_INVALID;
use super::reader::{At, Form, meant};
use super::value::Pattern;

const KNOWN: [&str; 7] = [
    "isRequired",
    "isUniqueKeyField",
    "isPsiData",
    "identifierType",
    "addCustomerIfNotExists",
    "regex",
    "possibleValues",
];

/// Attributes that the vendor has, and that say nothing about what an entry must look like.
const KEPT: [&str; 2] = ["source", "accountId"];

/// What a field's attributes say.
#[derive(Default)]
pub(super) struct Attributes {
    pub required: bool,
    pub unique: bool,
    pub sensitive: bool,
    pub identifier: Option<IdentifierType>,
    pub add_customer: bool,
    pub regex: Option<Pattern>,
    pub possible_values: Vec<String>,
    pub others: Vec<(String, Value)>,
}

impl Form<'_> {
    pub(super) fn attributes(&mut self, at: Option<&At>, kind: Option<FieldType>) -> Attributes {
        let mut attributes = Attributes::default();
        let Some(at) = at.filter(|at| self.text[at.range.clone()] != *"null") else {
            return attributes;
        };
        let form = "{\"isRequired\": {\"value\": \"true\", \"valueType\": \"Boolean\"}}";
        let Some(keys) = self.object(at, "`attributes`", form) else {
            return attributes;
        };
        for (name, at) in keys {
            match name.as_str() {
                "isRequired" => attributes.required = self.is_set(&name, &at),
                "isUniqueKeyField" => attributes.unique = self.is_set(&name, &at),
                "isPsiData" => attributes.sensitive = self.is_set(&name, &at),
                "addCustomerIfNotExists" => attributes.add_customer = self.is_set(&name, &at),
                "identifierType" => attributes.identifier = self.identifier(&at),
                "regex" => attributes.regex = self.regex(&at),
                "possibleValues" => attributes.possible_values = self.possible_values(&at, kind),
                _ if KEPT.contains(&name.as_str()) => {
                    // The whole text is valid JSON, and so is this.
                    let value = serde_json::from_str(&self.text[at.range]).unwrap_or_default();
                    attributes.others.push((name, value));
                }
                _ => {
                    let meant = meant(&name, KNOWN.into_iter());
                    match meant.is_empty() {
                        true => self.odd(
                            &at,
                            None,
                            format!("`{name}` is no attribute that is known here"),
                            "it is not looked at",
                        ),
                        false => self.wrong(
                            &at,
                            Some(ATTRIBUTE_INVALID),
                            format!("there is no attribute `{name}`{meant}"),
                            "mend it, or remove it",
                        ),
                    }
                }
            }
        }
        attributes
    }

    /// What must not go together.
    pub(super) fn look_at_attributes(&mut self, at: &At, field: &Field, marked_required: bool) {
        let code = Some(ATTRIBUTE_INVALID);
        let name = &field.name;
        if field.sensitive && field.kind == FieldType::Customer {
            let message = format!("`{name}` is the customer's identifier, and cannot be sensitive");
            self.wrong(
                at,
                code,
                message,
                "remove isPsiData; e-mail addresses and ids are never shown anyway",
            );
        } else if field.sensitive && !field.kind.may_be_sensitive() {
            let message = format!("`{name}` is of type `{}`, and cannot be sensitive", field.kind);
            self.wrong(
                at,
                code,
                message,
                "isPsiData is for fields of type enum, string and double",
            );
        }
        if field.unique && !marked_required {
            let message = format!("`{name}` is a unique key field, and not marked as required");
            self.odd(
                at,
                code,
                message,
                "it is required all the same; mark it with isRequired, as the vendor wants it",
            );
        }
        if field.kind == FieldType::Enum && field.possible_values.is_empty() {
            let message = format!("`{name}` is of type `enum`, and has no possible values");
            self.wrong(
                at,
                code,
                message,
                "list them in possibleValues: {\"value\": \"new,old\", \"valueType\": \"String\"}",
            );
        }
        if field.kind == FieldType::Customer && field.identifier.is_none() {
            let message = format!("`{name}` does not say by what the customer is known");
            self.odd(
                at,
                code,
                message,
                "`externalId` is taken, which is `id` in feeds; say so with identifierType",
            );
        }
        if field.kind != FieldType::Customer && (field.identifier.is_some() || field.add_customer) {
            let message = format!("`{name}` is no customer, and has attributes of one");
            self.odd(
                at,
                code,
                message,
                "identifierType and addCustomerIfNotExists are for fields of type customer",
            );
        }
    }

    /// The place of an attribute's value: in its object, or itself.
    fn value(&mut self, at: &At) -> Option<At> {
        if self.text.as_bytes()[at.range.start] != b'{' {
            return Some(at.clone());
        }
        let keys = self.object(at, "an attribute", "{\"value\": …, \"valueType\": …}")?;
        self.look_for_slips(&keys, &["value", "valueType", "values"], &[]);
        let find = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, at)| at.clone());
        let value = find("value").or_else(|| find("values"));
        if value.is_none() {
            self.wrong(
                at,
                Some(ATTRIBUTE_INVALID),
                "the attribute has no value",
                "add \"value\": \"…\"",
            );
        }
        value
    }

    fn is_set(&mut self, name: &str, at: &At) -> bool {
        let Some(value) = self.value(at) else { return false };
        let written = self.text[value.range.clone()].trim_matches('"');
        match written {
            _ if written.eq_ignore_ascii_case("true") => true,
            _ if written.eq_ignore_ascii_case("false") || written == "null" => false,
            _ => {
                self.wrong(
                    &value,
                    Some(ATTRIBUTE_INVALID),
                    format!("`{name}` is neither true nor false"),
                    "write {\"value\": \"true\", \"valueType\": \"Boolean\"}",
                );
                false
            }
        }
    }

    fn identifier(&mut self, at: &At) -> Option<IdentifierType> {
        let value = self.value(at)?;
        let written = self.text(&value).unwrap_or_default();
        let identifier = IdentifierType::parse(&written);
        if identifier.is_none() {
            let known: Vec<&str> = IdentifierType::ALL.iter().map(|one| one.as_str()).collect();
            let message = format!(
                "there is no identifierType `{written}`{}",
                meant(&written, known.iter().copied())
            );
            let hint = format!("one of {} is wanted", known.join(", "));
            self.wrong(&value, Some(ATTRIBUTE_INVALID), message, &hint);
        }
        identifier
    }

    fn regex(&mut self, at: &At) -> Option<Pattern> {
        let value = self.value(at)?;
        let written = self.text(&value);
        let compiled = match written.as_deref() {
            Some("") => return None,
            Some(written) => Pattern::new(written),
            None => Err("it is no text".to_owned()),
        };
        match compiled {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                self.wrong(
                    &value,
                    Some(ATTRIBUTE_INVALID),
                    format!("this is no regular expression: {why}"),
                    "the whole value must match it; references back and looking around are not to be had here",
                );
                None
            }
        }
    }

    fn possible_values(&mut self, at: &At, kind: Option<FieldType>) -> Vec<String> {
        let Some(value) = self.value(at) else {
            return Vec::new();
        };
        let code = Some(ATTRIBUTE_INVALID);
        let mut found = Vec::new();
        let mut parts: Vec<(String, At)> = Vec::new();
        if self.text.as_bytes()[value.range.start] == b'[' {
            for at in self.elements(&value) {
                let written = &self.text[at.range.clone()];
                match self.text(&at) {
                    Some(text) => parts.push((text, at)),
                    None if !written.starts_with(['{', '[', 'n']) => parts.push((written.to_owned(), at)),
                    None => self.wrong(&at, code, "a possible value is no text", "write \"new\""),
                }
            }
        } else {
            let text = self.text(&value).unwrap_or_default();
            for part in text.split(',') {
                if part.trim() != part {
                    let message = format!("a blank stands before or behind the possible value `{}`", part.trim());
                    self.odd(
                        &value,
                        code,
                        message,
                        "it is left out; the vendor wants none beside the commas",
                    );
                }
                parts.push((part.trim().to_owned(), value.clone()));
            }
        }
        for (part, at) in parts {
            let message = match kind {
                _ if part.trim().is_empty() => "a possible value is blank".to_owned(),
                _ if found.contains(&part) => format!("the possible value `{part}` is there twice"),
                Some(FieldType::Double) if part.parse::<f64>().is_err() => {
                    format!("the possible value `{part}` is no number")
                }
                _ => {
                    found.push(part);
                    continue;
                }
            };
            self.wrong(&at, code, message, "mend it, or remove it");
        }
        found
    }
}
