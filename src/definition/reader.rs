//! A file that is being read: its values with their places, and what there is to say of them.

use std::ops::Range;

use super::Definition;
use super::json::{elements, members};
use super::path::push_key;
use super::problem::{ATTRIBUTE_INVALID, Problem};
use super::value::text_of;
use crate::feed::place_in;

/// What reading files came to.
#[derive(Default)]
pub(super) struct Read {
    pub definitions: Vec<Definition>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// A value in a file.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub range: Range<usize>,
    pub pointer: String,
}

/// A file that is being read.
pub(super) struct Form<'a> {
    pub file: &'a str,
    pub text: &'a str,
    /// What is known besides the vendor's; `None`: whatever is there is known.
    pub known_actions: Option<&'a [String]>,
    pub read: &'a mut Read,
}

impl Form<'_> {
    /// The members of an object; each key once.
    pub fn object(&mut self, at: &At, what: &str, form: &str) -> Option<Vec<(String, At)>> {
        let text = self.text.as_bytes();
        if text[at.range.start] != b'{' {
            self.wrong(
                at,
                Some(ATTRIBUTE_INVALID),
                format!("{what} is no object"),
                &format!("write {form}"),
            );
            return None;
        }
        let mut keys: Vec<(String, At)> = Vec::new();
        for member in members(text, at.range.start) {
            let quoted = &self.text[member.name.start - 1..member.name.end + 1];
            let key = text_of(quoted).unwrap_or_default().into_owned();
            let mut pointer = at.pointer.clone();
            push_key(&mut pointer, &key);
            let at = At {
                range: member.value,
                pointer,
            };
            if keys.iter().any(|(other, _)| *other == key) {
                self.wrong(&at, None, format!("`{key}` is there twice"), "remove one of the two");
                continue;
            }
            keys.push((key, at));
        }
        Some(keys)
    }

    pub fn elements(&self, at: &At) -> Vec<At> {
        let found = elements(self.text.as_bytes(), at.range.start).enumerate();
        found
            .map(|(index, range)| At {
                range,
                pointer: format!("{}/{index}", at.pointer),
            })
            .collect()
    }

    /// A string's text.
    pub fn text(&self, at: &At) -> Option<String> {
        let written = &self.text[at.range.clone()];
        let text = written.starts_with('"').then(|| text_of(written))??;
        Some(text.into_owned())
    }

    /// Keys that nobody knows: a slip is a problem, whatever else is there a warning.
    pub fn look_for_slips(&mut self, keys: &[(String, At)], known: &[&str], let_pass: &[&str]) {
        for (key, at) in keys {
            if known.contains(&key.as_str()) || let_pass.contains(&key.as_str()) {
                continue;
            }
            match meant(key, known.iter().copied()) {
                meant if meant.is_empty() => {
                    self.odd(
                        at,
                        None,
                        format!("`{key}` is no key that is known here"),
                        "it is not looked at",
                    );
                }
                meant => {
                    let message = format!("there is no key `{key}`{meant}");
                    self.wrong(at, Some(ATTRIBUTE_INVALID), message, "mend it, or remove it");
                }
            }
        }
    }

    pub fn wrong(&mut self, at: &At, code: Option<u16>, message: impl Into<String>, hint: &str) {
        let problem = self.problem(at, code, message, hint);
        self.read.problems.push(problem);
    }

    pub fn odd(&mut self, at: &At, code: Option<u16>, message: impl Into<String>, hint: &str) {
        let problem = self.problem(at, code, message, hint);
        self.read.warnings.push(problem);
    }

    pub fn problem(&self, at: &At, code: Option<u16>, message: impl Into<String>, hint: &str) -> Problem {
        let place = place_in(self.text, at.range.start);
        Problem {
            code,
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            pointer: at.pointer.clone(),
            message: message.into(),
            hint: hint.to_owned(),
        }
    }
}

/// `, did you mean …?`, if a name is so near that it must have been meant.
pub(super) fn meant<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let name = name.to_lowercase();
    let near = known.map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), known));
    match near.min_by_key(|(distance, _)| *distance) {
        Some((distance, known)) if distance <= 1 + name.len() / 5 && distance < known.len() => {
            format!("; is `{known}` meant?")
        }
        _ => String::new(),
    }
}
