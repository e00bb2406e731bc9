//! The header of a user feed: an array with an object for each column.
//!
//! What is wrong with a header is wrong with the whole pair: rows cannot be held against columns that nobody knows. So all
//! of it is told at once, each fault with its place, up to a number.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::excerpt;
use super::fields::{Field, string, type_of};
use super::parts::{Part, member};
use super::{Options, RawEntry, Stop, Walk};
use crate::verdict::{Violation, ViolationCode};

/// Largest header, in bytes: a column takes about a hundred.
pub const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// Most columns. Without a limit, each row of a data file could be held against a hundred thousand.
const COLUMNS_MAX: usize = 2_000;

/// Most faults of a header that are told.
const FAULTS_MAX: usize = 20;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Scalar {
    Text,
    Date,
    Timestamp,
    Boolean,
    Integer,
    Numeric,
}

impl Scalar {
    const ALL: [(&str, Scalar); 6] = [
        ("text", Scalar::Text),
        ("date", Scalar::Date),
        ("timestamp", Scalar::Timestamp),
        ("boolean", Scalar::Boolean),
        ("integer", Scalar::Integer),
        ("numeric", Scalar::Numeric),
    ];

    /// The word in the header.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, scalar)| *scalar == self);
        found.map_or("", |(word, _)| word)
    }
}

/// A column of a user feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub scalar: Scalar,
    pub is_array: bool,
    pub is_nullable: bool,
}

impl Column {
    /// Its type as the header has it.
    pub fn type_word(self) -> String {
        format!("{}{}", self.scalar.word(), if self.is_array { "[]" } else { "" })
    }
}

/// The columns of a user feed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    by_name: HashMap<String, Column>,
    /// Those that every row must have, in the order of the header.
    required: Vec<String>,
}

impl Columns {
    /// Reads a header. Either its columns, or all that is wrong with it.
    pub fn read(header: &[u8], options: &Options) -> Result<Columns, Vec<Violation>> {
        let mut columns = Columns::default();
        let mut faults = Vec::new();
        let mut walk = Walk::expecting(header.len() as u64, header, options);
        loop {
            match walk.next() {
                Ok(Some(entry)) => columns.add(&entry, &mut faults),
                Ok(None) => break,
                Err(Stop::Fault(fault)) => {
                    // Nothing behind it can be trusted, and what was said before of columns not either.
                    return Err(vec![fault]);
                }
                // Bytes in memory can be read.
                Err(Stop::Read(error)) => return Err(vec![of_header(error.to_string())]),
            }
        }
        columns.expect_an_id(&mut faults);
        match faults.is_empty() {
            true => Ok(columns),
            false => {
                faults.truncate(FAULTS_MAX);
                Err(faults)
            }
        }
    }

    /// Number of columns.
    pub fn count(&self) -> u64 {
        self.by_name.len() as u64
    }

    /// The column of this name.
    pub(super) fn get(&self, name: &str) -> Option<Column> {
        self.by_name.get(name).copied()
    }

    /// The columns that may not be empty.
    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        self.required.iter().map(String::as_str)
    }

    fn add(&mut self, entry: &RawEntry<'_>, faults: &mut Vec<Violation>) {
        let mut fault = |detail: String, part: Option<Part<'_>>| {
            if faults.len() < FAULTS_MAX {
                let offset = part.map_or(0, |part| part.from);
                faults.push(Violation {
                    at: Some(entry.position_of(offset)),
                    entry: Some(entry.index),
                    excerpt: Some(excerpt::of_entry(entry.raw, entry.sensitive)),
                    ..of_header(detail)
                });
            }
        };
        let number = entry.index + 1;
        if !entry.raw.starts_with('{') {
            return fault(
                format!("column {number} is {}; an object is wanted", type_of(entry.raw)),
                None,
            );
        }
        let text = |key: &str, fault: &mut dyn FnMut(String, Option<Part<'_>>)| match text_of(entry.raw, key) {
            Ok(text) => Some(text),
            Err(found) => {
                fault(
                    format!("`{key}` of column {number} {found}; a text is wanted"),
                    member(entry.raw, key),
                );
                None
            }
        };
        let (name, type_word) = (text("column_name", &mut fault), text("data_type", &mut fault));
        let is_nullable = match member(entry.raw, "is_nullable").map(|part| part.value) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => text("is_nullable", &mut fault).and_then(|word| {
                let known = [("yes", true), ("no", false)];
                let found = known.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known));
                if found.is_none() {
                    let shown = excerpt::quoted(word.as_bytes());
                    let detail = format!("`is_nullable` of column {number} is `{shown}`; `YES` or `NO` is wanted");
                    fault(detail, member(entry.raw, "is_nullable"));
                }
                found.map(|(_, is_nullable)| is_nullable)
            }),
        };
        let of_type = type_word.and_then(|word| {
            let found = type_of_column(&word);
            if found.is_none() {
                let shown = excerpt::quoted(word.as_bytes());
                let detail = format!(
                    "`data_type` of column {number} is `{shown}`; text, date, timestamp, boolean, integer or numeric is wanted, \
                     with `[]` behind it for an array"
                );
                fault(detail, member(entry.raw, "data_type"));
            }
            found
        });
        let Some(name) = name else { return };
        if name.trim().is_empty() {
            return fault(
                format!("`column_name` of column {number} is blank"),
                member(entry.raw, "column_name"),
            );
        }
        if self.by_name.contains_key(&name) {
            let shown = excerpt::quoted(name.as_bytes());
            let detail = format!("column {number} is named `{shown}`, as another one before it");
            return fault(detail, member(entry.raw, "column_name"));
        }
        if self.by_name.len() >= COLUMNS_MAX {
            return fault(format!("there are more than {COLUMNS_MAX} columns"), None);
        }
        let (scalar, is_array) = of_type.unwrap_or((Scalar::Text, false));
        let is_nullable = is_nullable.unwrap_or(true);
        if name == "id" && (is_array || !matches!(scalar, Scalar::Text | Scalar::Integer)) && of_type.is_some() {
            fault(
                "the column `id` must be of type text (or integer)".to_owned(),
                member(entry.raw, "data_type"),
            );
        }
        if let "email" | "businessUnit" = &*name
            && (is_array || scalar != Scalar::Text)
            && of_type.is_some()
        {
            fault(
                format!("the column `{name}` must be of type text"),
                member(entry.raw, "data_type"),
            );
        }
        if name == "id" && is_nullable && member(entry.raw, "is_nullable").is_some() {
            let detail = "the column `id` is nullable; it must say `\"is_nullable\": \"NO\"`";
            fault(detail.to_owned(), member(entry.raw, "is_nullable"));
        }
        if !is_nullable {
            self.required.push(name.clone());
        }
        let column = Column {
            scalar,
            is_array,
            is_nullable,
        };
        self.by_name.insert(name, column);
    }

    fn expect_an_id(&self, faults: &mut Vec<Violation>) {
        if !self.by_name.contains_key("id") {
            let detail = "there is no column `id`; without it nobody knows whose row it is";
            faults.push(of_header(detail));
        }
    }
}

fn of_header(detail: impl Into<String>) -> Violation {
    Violation::new(ViolationCode::UserFeedHeader, detail)
}

/// The text of a key, or what is there instead.
fn text_of(object: &str, key: &str) -> Result<String, &'static str> {
    let Some(part) = member(object, key) else {
        return Err("is missing");
    };
    match string(Some(part.value), part.value.contains('\\')) {
        Field::Good(text) => Ok(text.into_owned()),
        Field::Absent => Err("is null"),
        Field::Bad(_) => Err("is no text"),
    }
}

/// What a column's values are, and whether each is an array of such.
fn type_of_column(word: &str) -> Option<(Scalar, bool)> {
    let (scalar, is_array) = match word.strip_suffix("[]") {
        Some(scalar) => (scalar, true),
        None => (word, false),
    };
    let known = Scalar::ALL.iter().find(|(known, _)| scalar.eq_ignore_ascii_case(known));
    known.map(|(_, scalar)| (*scalar, is_array))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<Columns, Vec<String>> {
        let options = Options {
            default_business_unit: None,
            duplicate_keys: super::super::DuplicateKeys::Reject,
            entry_bytes_max: 1 << 20,
            depth_max: 128,
            kind: crate::verdict::FeedKind::Header,
            ordered_items: false,
            order_unique: false,
        };
        Columns::read(header.as_bytes(), &options).map_err(|faults| {
            let told = faults.into_iter().map(|fault| {
                let at = fault.at.map_or(String::new(), |at| format!(" at {}", at.byte));
                format!("{}{at}: {}", fault.code, fault.detail)
            });
            told.collect()
        })
    }

    const ID: &str = r#"{"column_name":"id","data_type":"text","is_nullable":"NO"}"#;

    fn check(column: &str, expect: &str) {
        let told = read(&format!("[{ID},{column}]")).map(drop).expect_err(column);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(expect), "{told:?}");
    }

    #[test]
    fn the_vendors_header() {
        let columns = read(&format!(
            r#"[{ID},{{"column_name":"email","data_type":"text","is_nullable":"YES"}},
                {{"column_name":"birthday","data_type":"date","is_nullable":"YES"}},
                {{"column_name":"tags","data_type":"TEXT[]","is_nullable":true}}]"#
        ))
        .expect("a header");
        assert_eq!(columns.count(), 4);
        assert_eq!(columns.required().collect::<Vec<_>>(), ["id"]);
        let column = |name| {
            columns
                .get(name)
                .map(|column: Column| (column.type_word(), column.is_nullable))
        };
        assert_eq!(column("birthday"), Some(("date".to_owned(), true)));
        assert_eq!(column("tags"), Some(("text[]".to_owned(), true)));
        assert_eq!(column("Email"), None);
    }

    #[test]
    fn every_fault_of_a_column() {
        check("1", "column 2 is a number");
        check(
            r#"{"data_type":"text","is_nullable":"NO"}"#,
            "`column_name` of column 2 is missing",
        );
        check(
            r#"{"column_name":7,"data_type":"text","is_nullable":"NO"}"#,
            "`column_name` of column 2 is no text",
        );
        check(
            r#"{"column_name":" ","data_type":"text","is_nullable":"NO"}"#,
            "is blank",
        );
        check(
            r#"{"column_name":"a","is_nullable":"NO"}"#,
            "`data_type` of column 2 is missing",
        );
        check(
            r#"{"column_name":"a","data_type":"varchar","is_nullable":"NO"}"#,
            "varchar",
        );
        check(
            r#"{"column_name":"a","data_type":"text[][]","is_nullable":"NO"}"#,
            "text[][]",
        );
        check(
            r#"{"column_name":"a","data_type":"text"}"#,
            "`is_nullable` of column 2 is missing",
        );
        check(
            r#"{"column_name":"a","data_type":"text","is_nullable":"maybe"}"#,
            "maybe",
        );
        check(ID, "as another one before it");
        check(
            r#"{"column_name":"email","data_type":"integer","is_nullable":"YES"}"#,
            "`email` must be of type text",
        );
    }

    #[test]
    fn the_id_must_be_there_and_never_empty() {
        let fault = |header: &str| read(header).expect_err(header).join("\n");
        assert!(fault("[]").contains("no column `id`"));
        let nullable = ID.replace("NO", "YES");
        assert!(fault(&format!("[{nullable}]")).contains("is nullable"), "{nullable}");
        let date = ID.replace("text", "date");
        assert!(fault(&format!("[{date}]")).contains("must be of type text"), "{date}");
        assert!(read(&format!("[{}]", ID.replace("text", "integer"))).is_ok());
    }

    #[test]
    fn what_is_no_array_says_where() {
        let fault = |header: &str| read(header).expect_err(header).join("\n");
        assert!(fault("{}").starts_with("not_an_array"));
        assert!(fault("[{]").starts_with("json_syntax at 2"));
        assert!(fault("").starts_with("json_syntax"));
    }

    #[test]
    fn faults_are_told_up_to_a_number() {
        let header = format!("[{}]", vec!["1"; 1000].join(","));
        assert_eq!(read(&header).expect_err("faults").len(), FAULTS_MAX);
    }
}
