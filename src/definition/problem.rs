//! What is wrong with a definition, where, and what to do: with the vendor's code, if he has one for it.

use std::fmt;

use serde::Serialize;

/// The vendor's code for an attribute that will not do, and for whatever he has no other for.
pub const ATTRIBUTE_INVALID: u16 = 1802;
/// The vendor's code for an event that exists already.
pub const EVENT_EXISTS: u16 = 1806;
/// The vendor's code for actions that will not do.
pub const ACTIONS_INVALID: u16 = 1810;
/// The vendor's code for an event's name that will not do.
pub const EVENT_NAME_INVALID: u16 = 1811;
/// The vendor's code for a type that there is not.
pub const FIELD_TYPE_INVALID: u16 = 1823;

/// One thing that is wrong with a definition, or odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The vendor's code; none where the file is no JSON, or where the vendor has no say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The file, as it was named.
    pub file: String,
    /// Line in it, from 1.
    pub line: u64,
    /// Column in code points, from 1.
    pub column: u64,
    /// JSON Pointer (RFC 6901) within the file; empty for the whole.
    pub pointer: String,
    /// What was found and what is wanted.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        if let Some(code) = self.code {
            write!(f, " (code {code})")?;
        }
        write!(f, "; {}", self.hint)
    }
}

impl Problem {
    /// Something else about the same place.
    pub(super) fn saying(self, code: Option<u16>, message: impl Into<String>, hint: &str) -> Problem {
        Problem {
            code,
            message: message.into(),
            hint: hint.to_owned(),
            ..self
        }
    }
}
