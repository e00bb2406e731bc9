//! Whether a value is what a field wants. Finding out, and no words: those are in `words`.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::kind::FieldType;
use super::tree::is_blank;
use super::{Field, date};
use crate::feed::unescaped;

/// Largest compiled pattern, in bytes. Without a limit a short one such as `(((a{99}){99}){99})` could fill the memory.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A regular expression that a whole value must match.
///
/// The vendor's page does not say whether his are anchored; taken so, `[A-Z]{3}` is what everybody means by it.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    whole: Regex,
}

impl Pattern {
    /// Compiles it; otherwise what is wrong with it.
    pub(super) fn new(written: &str) -> Result<Pattern, String> {
        // Alone first: `a)|(b` would be sound between our brackets.
        let compile = |pattern: &str| {
            let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
            built.map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "it stands for more than can be held".to_owned(),
                error => {
                    let said = error.to_string();
                    let last = said.lines().last().unwrap_or_default().trim();
                    last.trim_start_matches("error: ").to_owned()
                }
            })
        };
        compile(written)?;
        Ok(Pattern {
            written: written.to_owned(),
            whole: compile(&format!(r"\A(?:{written})\z"))?,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it matches the whole of a text.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

/// What a value is to its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Good,
    /// Blank: as if it were not there.
    Absent,
    /// Of another JSON type.
    Type,
    /// Of the right type, and yet not right.
    Value(Unfit),
}

/// What is the matter with a value of the right type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// None of the possible ones.
    Impossible,
    /// The pattern does not match the whole of it.
    Unmatched,
    /// No date that there is.
    NoDate,
    /// Not three capital letters.
    NoCurrency,
    /// Beyond what 64 bits hold.
    TooLarge,
    /// Half of a character, or a NUL.
    NoText,
}

/// Holds the JSON text of a value, which is not null, against a field.
pub(super) fn fits(field: &Field, value: &str) -> Fit {
    let bytes = value.as_bytes();
    let is_string = bytes[0] == b'"';
    if is_string && is_blank(bytes) {
        return Fit::Absent;
    }
    let is_number = bytes[0] == b'-' || bytes[0].is_ascii_digit();
    let right = match field.kind {
        FieldType::Double => is_number,
        FieldType::Integer => is_integer(bytes),
        FieldType::Boolean => matches!(bytes[0], b't' | b'f'),
        FieldType::Customer => is_string || is_integer(bytes),
        _ => is_string,
    };
    if !right {
        return Fit::Type;
    }
    let is_free = field.regex.is_none() && field.possible_values.is_empty();
    let needs_no_look = match field.kind {
        FieldType::Enum | FieldType::Date | FieldType::CurrencyCode => false,
        // So short, and without an exponent, it is far from what 64 bits hold.
        FieldType::Double => value.len() < 300 && !value.contains(['e', 'E']),
        _ => memchr::memchr(b'\\', bytes).is_none(),
    };
    if is_free && needs_no_look {
        return Fit::Good;
    }
    match unfit(field, value) {
        None => Fit::Good,
        Some(unfit) => Fit::Value(unfit),
    }
}

fn unfit(field: &Field, value: &str) -> Option<Unfit> {
    let text = match text_of(value) {
        Some(text) if !text.contains('\0') => text,
        _ => return Some(Unfit::NoText),
    };
    if field.kind == FieldType::Double && !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Some(Unfit::TooLarge);
    }
    let possible = &field.possible_values;
    if !possible.is_empty() && !possible.iter().any(|one| is_same(field.kind, one, &text)) {
        return Some(Unfit::Impossible);
    }
    if field.regex.as_ref().is_some_and(|regex| !regex.matches(&text)) {
        return Some(Unfit::Unmatched);
    }
    match field.kind {
        FieldType::Date if !date::is_date(&text) => Some(Unfit::NoDate),
        FieldType::CurrencyCode if text.len() != 3 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Some(Unfit::NoCurrency)
        }
        _ => None,
    }
}

/// Whether a value is this one of the possible ones. Numbers are, however they are written.
fn is_same(kind: FieldType, possible: &str, text: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    possible == text || (kind == FieldType::Double && number(possible).is_some_and(|one| Some(one) == number(text)))
}

/// A value as a text: a string without its quotation marks and escapes, everything else as it is written. `None` if half of a
/// character is in it.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Some(Cow::Borrowed(value));
    };
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    String::from_utf8(unescaped(inner.as_bytes()).collect())
        .ok()
        .map(Cow::Owned)
}

/// A JSON number without fraction and exponent.
fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
