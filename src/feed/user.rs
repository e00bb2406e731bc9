//! The rules of a user feed's rows, against the columns of its header.
//!
//! An e-mail address that is none rejects the row here, where beside an `id` an event would go without it: what a user feed
//! leaves empty is forgotten, and a slip of the pen must not take a good address away. The vendor's limit of a thousand
//! objects to a file is no rule of ours: it cannot hold for a feed of all customers.

use super::columns::{Column, Columns, Scalar};
use super::fields::{Bad, Field, Fields, is_integer, string, type_of};
use super::judge::Why;
use super::members::Key;
use super::order::is_number;
use super::parts::{Part, elements, member, members};
use super::{RawEntry, excerpt, timestamp};
use crate::verdict::RejectCode;

/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Largest row, in bytes.
const ROW_BYTES_MAX: usize = 1024 * 1024;

/// Most levels of containers in a value.
const LEVELS_MAX: usize = 2;

/// Most fields within the values of a row.
const NESTED_MAX: usize = 30;

/// What is the matter with a row's value: where in the row, and what.
#[derive(Debug, Clone, Copy)]
pub(super) struct UserWhy {
    /// Offset of the member's value; `None`: the row itself, or what is not there.
    pub at: Option<usize>,
    pub found: Wrong,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wrong {
    NoId,
    UnknownColumn,
    /// The column of this number among those that are required is not there.
    Missing(usize),
    Empty,
    Type(Column),
    /// Of the right JSON type, and what it says cannot be.
    Form(Column, &'static str),
    TooLong(usize),
    TooLarge(usize),
    Nesting,
}

type Reasons = Vec<(RejectCode, Why)>;

/// Holds a row against its columns.
pub(super) fn look(entry: &RawEntry<'_>, fields: &Fields<'_>, columns: &Columns, reasons: &mut Reasons) {
    let mut reject = |code, at, found| reasons.push((code, Why::User(UserWhy { at, found })));
    if entry.raw.len() > ROW_BYTES_MAX {
        // What else is wrong with it nobody needs to know.
        return reject(RejectCode::UserTooLarge, None, Wrong::TooLarge(entry.raw.len()));
    }
    if fields.id == Field::Absent {
        reject(RejectCode::UserIdMissing, None, Wrong::NoId);
    }
    let mut nested = 0;
    for part in members(entry.raw) {
        let Some(column) = column_of(&part, columns) else {
            reject(RejectCode::UserColumnUnknown, Some(part.from), Wrong::UnknownColumn);
            continue;
        };
        match nested_fields(part.value, 0) {
            Some(count) => nested += count,
            None => {
                reject(RejectCode::UserNesting, Some(part.from), Wrong::Nesting);
                continue;
            }
        }
        // The three that say who it is have their own rules, and codes.
        if ["id", "email", "businessUnit"].iter().any(|name| part.is(name)) {
            if is_empty(part.value) && !column.is_nullable && !part.is("id") {
                reject(RejectCode::UserValueMissing, Some(part.from), Wrong::Empty);
            }
            continue;
        }
        if let Some((code, found)) = wrong_with(part.value, column) {
            reject(code, Some(part.from), found);
        }
    }
    if nested > NESTED_MAX {
        reject(RejectCode::UserNesting, None, Wrong::Nesting);
    }
    for (number, name) in columns.required().enumerate() {
        if name != "id" && member(entry.raw, name).is_none() {
            reject(RejectCode::UserValueMissing, None, Wrong::Missing(number));
        }
    }
    for (key, field, code) in [
        (Key::Id, &fields.id, RejectCode::IdInvalid),
        (Key::Email, &fields.email, RejectCode::EmailInvalid),
        (
            Key::BusinessUnit,
            &fields.business_unit,
            RejectCode::BusinessUnitInvalid,
        ),
    ] {
        if let Field::Bad(bad) = field {
            reasons.push((code, Why::Bad(key, *bad)));
        }
    }
}

fn column_of(part: &Part<'_>, columns: &Columns) -> Option<Column> {
    match part.name.contains('\\') {
        false => columns.get(part.name),
        true => columns.get(&super::text::decode(part.name)?),
    }
}

/// Whether a value says that there is none: null, or a text that is empty.
fn is_empty(value: &str) -> bool {
    matches!(value, "null" | "\"\"")
}

fn wrong_with(value: &str, column: Column) -> Option<(RejectCode, Wrong)> {
    if is_empty(value) {
        let is_text = value == "\"\"" && column.scalar == Scalar::Text && !column.is_array;
        return (!column.is_nullable && !is_text).then_some((RejectCode::UserValueMissing, Wrong::Empty));
    }
    if !column.is_array {
        return wrong_with_scalar(value, column);
    }
    if !value.starts_with('[') {
        return Some((RejectCode::UserValueType, Wrong::Type(column)));
    }
    elements(value)
        .filter(|element| *element != "null")
        .find_map(|element| wrong_with_scalar(element, column))
}

fn wrong_with_scalar(value: &str, column: Column) -> Option<(RejectCode, Wrong)> {
    let is_right = match column.scalar {
        Scalar::Text | Scalar::Date | Scalar::Timestamp => value.starts_with('"'),
        Scalar::Boolean => matches!(value, "true" | "false"),
        Scalar::Integer => is_integer(value),
        Scalar::Numeric => is_number(value),
    };
    if !is_right {
        return Some((RejectCode::UserValueType, Wrong::Type(column)));
    }
    let form = |why| Some((RejectCode::UserValueType, Wrong::Form(column, why)));
    if !value.starts_with('"') {
        return None;
    }
    // Escapes make a text look longer than it is.
    if value.len() - 2 > TEXT_BYTES_MAX {
        let text = super::text::unescaped(&value.as_bytes()[1..value.len() - 1]);
        let bytes = text.count();
        if bytes > TEXT_BYTES_MAX {
            return Some((RejectCode::UserValueTooLong, Wrong::TooLong(bytes)));
        }
    }
    let text = match string(Some(value), value.contains('\\')) {
        Field::Good(text) => text,
        Field::Bad(Bad::Nul) => return form("holds a NUL character"),
        _ => return form("holds one half of a character"),
    };
    match column.scalar {
        Scalar::Date if text.len() != 10 => form("is no date of the form `2016-03-22`"),
        Scalar::Date | Scalar::Timestamp => timestamp::parse(&text).err().and_then(form),
        _ => None,
    }
}

/// Number of the fields within a value; `None` if containers lie deeper in it than they may.
fn nested_fields(value: &str, levels: usize) -> Option<usize> {
    let is_object = value.starts_with('{');
    if !is_object && !value.starts_with('[') {
        return Some(0);
    }
    if levels >= LEVELS_MAX {
        return None;
    }
    let mut count = 0;
    if is_object {
        for part in members(value) {
            count += 1 + nested_fields(part.value, levels + 1)?;
        }
    } else {
        for element in elements(value) {
            count += nested_fields(element, levels + 1)?;
        }
    }
    Some(count)
}

/// The name of the column that it is about, unescaped as far as it can be; `None`: the row.
pub(super) fn column(entry: &RawEntry<'_>, why: UserWhy, columns: Option<&Columns>) -> Option<String> {
    match (why.found, why.at) {
        (Wrong::NoId, _) => Some("id".to_owned()),
        (Wrong::Missing(number), _) => columns?.required().nth(number).map(str::to_owned),
        (_, Some(at)) => {
            let part = members(entry.raw).find(|part| part.from == at)?;
            Some(super::text::decode(part.name).unwrap_or(part.name.into()).into_owned())
        }
        _ => None,
    }
}

/// What there is to say of it, in a sentence that shows no value: these are people's.
pub(super) fn message(entry: &RawEntry<'_>, why: UserWhy, columns: Option<&Columns>) -> String {
    let name = column(entry, why, columns).map_or("the user".to_owned(), |name| {
        format!("`{}`", excerpt::quoted(name.as_bytes()))
    });
    let found = || {
        let part = members(entry.raw).find(|part| Some(part.from) == why.at);
        part.map_or("something else", |part| type_of(part.value))
    };
    match why.found {
        Wrong::NoId => "`id` is missing; a row is of somebody who has one".to_owned(),
        Wrong::UnknownColumn => format!("the header has no column {name}"),
        Wrong::Missing(_) => format!("{name} is missing, and the header says that it is not nullable"),
        Wrong::Empty => format!("{name} is empty, and the header says that it is not nullable"),
        Wrong::Type(column) if column.is_array => {
            format!(
                "{name} is {}, or holds something else; an array of type {} is wanted",
                found(),
                column.type_word()
            )
        }
        Wrong::Type(column) => format!(
            "{name} is {}; a value of type {} is wanted",
            found(),
            column.type_word()
        ),
        Wrong::Form(column, why) => format!("{name} {why}; a value of type {} is wanted", column.type_word()),
        Wrong::TooLong(bytes) => format!("{name} has a text of {bytes} bytes; {TEXT_BYTES_MAX} are the most"),
        Wrong::TooLarge(bytes) => format!("the user takes {bytes} bytes; {ROW_BYTES_MAX} are the most"),
        Wrong::Nesting => format!(
            "{name} is nested too deeply, or has too many fields within; {LEVELS_MAX} levels and {NESTED_MAX} fields are the most"
        ),
    }
}
