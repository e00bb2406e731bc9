//! What is wrong with an entry by its definition, in sentences for the partner: what was found, and what is wanted.
//!
//! Names and patterns are the operator's, values the partner's: both are escaped, and of a sensitive field no value is shown.

use super::hold::{Broken, Held, Why};
use super::json::{is_named, members, value_end};
use super::kind::FieldType;
use super::value::Unfit;
use super::{Definition, Field, date};
use crate::feed::{RawEntry, shown_value, type_of};
use crate::hidden::escaped;
use crate::verdict::Reason;

/// Possible values that are listed.
const POSSIBLE_SHOWN: usize = 10;

/// Characters of a name or pattern that are shown.
const CHARS_SHOWN: usize = 100;

impl Held<'_> {
    /// Why the entry breaks its definition, in the order of the definition. It is the entry that was held.
    pub fn reasons(&self, entry: &RawEntry<'_>) -> Vec<Reason> {
        let reason = |broken: &Broken| {
            let code = broken.why.code();
            match self.definition {
                Some(definition) => {
                    let path = &definition.fields[broken.field].path;
                    Reason {
                        code,
                        pointer: path.pointer(broken.steps, &broken.indices),
                        message: self.message(definition, broken),
                        at: entry.position_of(broken.at),
                    }
                }
                None => {
                    let name = members(self.entry.as_bytes(), 0)
                        .filter(|member| is_named(&self.entry.as_bytes()[member.name.clone()], "event"))
                        .last();
                    let value = name.map_or(0..0, |member| member.value);
                    let shown = shown_value(&self.entry[value.clone()], self.definitions.sensitive());
                    Reason {
                        code,
                        pointer: "/event".to_owned(),
                        message: format!("{shown} is no event that is known here; one that has a definition is wanted"),
                        at: entry.position_of(value.start),
                    }
                }
            }
        };
        self.broken.iter().map(reason).collect()
    }

    fn message(&self, definition: &Definition, broken: &Broken) -> String {
        let field = &definition.fields[broken.field];
        let text = self.entry.as_bytes();
        let value = &self.entry[broken.at..value_end(text, broken.at)];
        let hidden = self.definitions.sensitive();
        let may_be_shown = !field.sensitive && !field.path.keys().any(|key| hidden.covers(key));
        // An object that has no such member is not worth showing, nor is one that stands in place of a value.
        let shown = match may_be_shown && !value.starts_with(['{', '[']) {
            true => format!(" ({})", shown_value(value, hidden)),
            false => String::new(),
        };
        let name = quoted(&field.path.to_string());
        let event = quoted(&definition.event_name);
        match broken.why {
            Why::Missing => {
                let how = match value.as_bytes().first() {
                    Some(b'n') => "is null",
                    Some(b'"') => "is blank",
                    Some(b'[') => "has no elements",
                    _ => "is missing",
                };
                format!("{name} {how}; {event} requires {}", wanted(field))
            }
            Why::Type if value.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
                let found = match field.kind {
                    FieldType::Integer | FieldType::Customer => "a number with a fraction or an exponent",
                    _ => "a number",
                };
                format!("{name} is {found}{shown}; {event} wants {}", wanted(field))
            }
            Why::Type => format!("{name} is {}{shown}; {event} wants {}", type_of(value), wanted(field)),
            Why::Misfit => {
                let through = field.path.up_to(broken.steps);
                let container = match field.path.is_each(broken.steps) {
                    true => "an array",
                    false => "an object",
                };
                format!(
                    "{} is {}; {container} is wanted, in which {event} has {name}",
                    quoted(&through),
                    type_of(value)
                )
            }
            Why::Unfit(unfit) => format!("{name}{shown} {}", unfit_in_words(field, unfit)),
            // It has no field.
            Why::Unknown => String::new(),
        }
    }
}

fn unfit_in_words(field: &Field, unfit: Unfit) -> String {
    match unfit {
        Unfit::Impossible => format!("is none of the values that are possible: {}", possible(field)),
        Unfit::Unmatched => {
            let regex = field.regex.as_ref().map_or("", |regex| regex.as_str());
            format!("is not, as a whole, of the form {}", quoted(regex))
        }
        Unfit::NoDate => format!("is no date; {} is wanted", date::WANTED),
        Unfit::NoCurrency => "is no currency; its ISO code is wanted, three capital letters such as `EUR`".to_owned(),
        Unfit::TooLarge => "is beyond what a number of 64 bits holds".to_owned(),
        Unfit::NoText => {
            "holds a NUL character, or one half of a character (a `\\ud…` escape without its other half)".to_owned()
        }
    }
}

impl Field {
    /// What it is to be in an entry, with all that is asked of it.
    pub fn wanted(&self) -> String {
        wanted(self)
    }
}

fn wanted(field: &Field) -> String {
    let mut wanted = match field.kind {
        FieldType::Enum => return format!("one of {}", possible(field)),
        FieldType::Date => date::WANTED.to_owned(),
        kind => kind.wanted().trim_end_matches(',').to_owned(),
    };
    if !field.possible_values.is_empty() {
        wanted.push_str(&format!(", one of {}", possible(field)));
    }
    if let Some(regex) = &field.regex {
        wanted.push_str(&format!(" of the form {}", quoted(regex.as_str())));
    }
    wanted
}

fn possible(field: &Field) -> String {
    let shown = field.possible_values.iter().take(POSSIBLE_SHOWN);
    let mut list: Vec<String> = shown.map(|value| quoted(value)).collect();
    let more = field.possible_values.len().saturating_sub(POSSIBLE_SHOWN);
    if more > 0 {
        list.push(format!("{more} more"));
    }
    list.join(", ")
}

/// A name between marks, cut and escaped.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(CHARS_SHOWN) {
        Some((end, _)) => format!("`{}…`", escaped(&text[..end])),
        None => format!("`{}`", escaped(text)),
    }
}
