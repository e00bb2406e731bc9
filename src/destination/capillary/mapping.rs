//! From an event to the flat object that the webhook wants.
//!
//! | key | value |
//! |---|---|
//! | `event_name` | the definition's `eventName`, or what `rename` makes of the event's name |
//! | the definition's `identifierType`: `externalId`, `email`, `mobile`, … | whose event it is |
//! | each field of the definition, by its name | what lies at its path |
//! | `tillCode`, or the definition's field of that type | `till_code`, where the entry names none |
//! | `eventDateTime` | when it happened: `yyyy-MM-dd'T'HH:mm:ssXXX`, always in UTC |
//! | `orgResolver` | as configured |
//!
//! **Every value is a text**, as in the vendor's own example (`"room_nights":"2"`): a number as the feed spells it, so that no
//! digit is lost on the way, and `true` and `false` as words. Of several values in an array one text is made, with commas between
//! them, as the vendor writes lists. What is nothing, null or blank is left out. A date with a time goes in the form above:
//! among the forms that the vendor takes are two that differ in which of day and month comes first, and this is neither.
//!
//! Nothing is masked. What is sensitive is so for people, and the vendor keeps it from them himself.
//!
//! The definitions are today's, not those of the time of import: they are what `definitions push` brought there, and an event
//! that was refused for a fault in them is to go through once it is mended.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::resolve::{CapillarySettings, WithoutDefinition, WithoutEmail};
use crate::definition::{Definition, Definitions, Field, FieldType, IdentifierType, text_of};
use crate::destination::entry::whole_characters;
use crate::destination::json::Object;
use crate::destination::receiver::Added;
use crate::events::{Event, push_utc};
use crate::feed::parse_time;

/// Keys that mean something to the webhook: no field can be called so.
pub(super) const RESERVED: [&str; 3] = ["event_name", "eventDateTime", "orgResolver"];

/// Where the till's code goes if the definition has no field for it.
const TILL_CODE: &str = "tillCode";

/// Longest text that is a date without a time.
const DATE_BYTES_MAX: usize = 10;

/// A text shorter than this is not looked for where it must not be shown: it would be found in ordinary words.
const PRIVATE_BYTES_MIN: usize = 4;

/// How events are written.
pub(super) struct Mapping {
    definitions: Option<Arc<Definitions>>,
    without_definition: WithoutDefinition,
    without_identifier: WithoutEmail,
    till_code: Option<String>,
    org_resolver: Vec<(String, String)>,
}

/// An event as the webhook wants it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    /// The whole body of the request.
    pub(super) body: String,
    /// Texts in it that no reason may quote: who it is, and what is sensitive.
    pub(super) private: Vec<String>,
}

impl Mapping {
    /// As the operator wants it.
    pub(super) fn new(settings: &CapillarySettings) -> Mapping {
        Mapping {
            definitions: settings.definitions.clone(),
            without_definition: settings.without_definition,
            without_identifier: settings.without_identifier,
            till_code: settings.till_code.clone(),
            org_resolver: settings.org_resolver.clone(),
        }
    }

    /// Writes an event; `Err` is why there is nothing to send.
    pub(super) fn map(&self, event: &Event<'_>) -> Result<Mapped, Added> {
        let definitions = self.definitions.as_ref();
        let definition = definitions.and_then(|definitions| definitions.of(event.event));
        let definition = definition.ok_or_else(|| self.undefined(event))?;
        let entry = whole_characters(event.body);
        let values = definition.all_values(&entry);
        let (identifier, who) = self.identifier(definition, &values, event)?;
        let mut date = String::new();
        push_utc(&mut date, event.at);
        if date.starts_with(['+', '-']) {
            return Err(refused("its time lies outside the years 0 to 9999"));
        }
        let mut mapped = Mapped {
            body: String::new(),
            private: Vec::new(),
        };
        mapped.keep_private(&who);
        let mut body = std::mem::take(&mut mapped.body);
        let mut object = Object::begin(&mut body);
        object.text("event_name", event.renamed.unwrap_or(&definition.event_name));
        object.text(identifier.as_str(), &who);
        let customer = definition.customer().map(|field| field.name.as_str());
        let mut till_code = self.till_code.as_deref();
        for (field, values) in definition.fields.iter().zip(&values) {
            let is_told = customer == Some(field.name.as_str()) || field.name == identifier.as_str();
            if is_told {
                continue;
            }
            let is_till = field.kind == FieldType::TillCode;
            let value = match value_of(field, values)? {
                Some(value) => value,
                None if is_till && till_code.is_some() => till_code.unwrap_or_default().to_owned(),
                None if field.required => return Err(missing(field)),
                None => continue,
            };
            if field.sensitive {
                mapped.keep_private(&value);
            }
            object.text(&field.name, &value);
            if is_till || field.name == TILL_CODE {
                till_code = None;
            }
        }
        if let Some(till_code) = till_code {
            object.text(TILL_CODE, till_code);
        }
        object.text("eventDateTime", &to_the_second(&date));
        if !self.org_resolver.is_empty() {
            object.object("orgResolver", |object| {
                self.org_resolver
                    .iter()
                    .for_each(|(key, value)| object.text(key, value));
            });
        }
        object.end();
        Ok(Mapped { body, ..mapped })
    }

    /// By what the customer is known, and who it is: as the entry says, or else as is known of the person.
    fn identifier<'e>(
        &self,
        definition: &Definition,
        values: &[Vec<&'e str>],
        event: &Event<'e>,
    ) -> Result<(IdentifierType, Cow<'e, str>), Added> {
        let identifier = definition.customer().and_then(|field| field.identifier);
        let identifier = identifier.unwrap_or(IdentifierType::ExternalId);
        let is_customer = |field: &Field| {
            definition
                .customer()
                .is_some_and(|customer| customer.name == field.name)
        };
        let at = definition.fields.iter().position(is_customer);
        let said = at.and_then(|at| text(values[at].first()?));
        let known = || match identifier {
            IdentifierType::ExternalId => event.user_id.map(Cow::Borrowed),
            IdentifierType::Email => event.email.map(Cow::Borrowed),
            _ => None,
        };
        match said.or_else(known) {
            Some(who) => Ok((identifier, who)),
            None => Err(self.unidentified(identifier)),
        }
    }

    fn undefined(&self, event: &Event<'_>) -> Added {
        match self.without_definition {
            WithoutDefinition::Drop => Added::Dropped,
            WithoutDefinition::Refuse => Added::Refused {
                reason: format!(
                    "the event `{}` has no definition, by which alone it can be sent: write one and deliver it again, or leave it \
                     out by `events`, `actions` or `without_definition = \"drop\"`",
                    crate::hidden::escaped(event.event)
                ),
            },
        }
    }

    fn unidentified(&self, identifier: IdentifierType) -> Added {
        let reason = format!("it has no `{identifier}`, by which its definition knows customers");
        match self.without_identifier {
            WithoutEmail::Hold => Added::Held { reason },
            WithoutEmail::Refuse => Added::Refused { reason },
            WithoutEmail::Drop => Added::Dropped,
        }
    }
}

impl Mapped {
    fn keep_private(&mut self, text: &str) {
        if text.len() >= PRIVATE_BYTES_MIN {
            self.private.push(text.to_owned());
        }
    }
}

/// What is said of a field: one text, or nothing. `Err` where it is no text.
fn value_of(field: &Field, values: &[&str]) -> Result<Option<String>, Added> {
    let mut joined: Option<String> = None;
    for value in values {
        if value.starts_with(['{', '[']) {
            return Err(refused(&format!(
                "where its field `{}` lies is an object or an array, and the webhook takes texts alone: give the path to what is \
                 in it",
                field.name
            )));
        }
        let Some(text) = text(value) else { continue };
        let text = match field.kind {
            FieldType::Date => date_of(text),
            _ => text,
        };
        match &mut joined {
            Some(joined) => {
                joined.push(',');
                joined.push_str(&text);
            }
            None => joined = Some(text.into_owned()),
        }
    }
    Ok(joined)
}

/// A value as a text; `None` for what is blank.
fn text<'e>(value: &&'e str) -> Option<Cow<'e, str>> {
    text_of(value).filter(|text| !text.trim().is_empty())
}

/// A date with a time in the form that the vendor cannot mistake; one without as it is: it has no zone to be moved from.
fn date_of(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.trim().len() <= DATE_BYTES_MAX {
        return text;
    }
    let Ok(at) = parse_time(&text) else { return text };
    let mut date = String::new();
    push_utc(&mut date, at);
    to_the_second(&date).into()
}

/// `2019-11-18T17:05:00.123Z` as `2019-11-18T17:05:00Z`: the vendor's forms have no fractions.
fn to_the_second(date: &str) -> String {
    match date.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => date.to_owned(),
    }
}

fn missing(field: &Field) -> Added {
    refused(&format!(
        "it lacks `{}` (`{}` in the entry), which its definition requires",
        field.name, field.path
    ))
}

fn refused(reason: &str) -> Added {
    Added::Refused {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
