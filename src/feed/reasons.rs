//! The words for what is wrong with an entry, or odd about it, and the places.
//!
//! Nothing here shows the text of an `email` or `id`: messages give type and length.

use super::excerpt;
use super::fields::{Bad, CHARS_MAX, EMAIL_BYTES_MAX, type_of};
use super::judge::Why;
use super::members::{Key, Repeat};
use super::order::OrderWhy;
use super::user::UserWhy;
use super::{Columns, DuplicateKeys, Options, RawEntry, items, order, timestamp, user};
use crate::verdict::{Position, Reason, Reject, RejectCode, Warning, WarningCode};

/// An entry that is not accepted.
pub(super) fn reject(
    entry: &RawEntry<'_>,
    found: &[(RejectCode, Why)],
    options: &Options,
    columns: Option<&Columns>,
) -> Reject {
    let reason = |&(code, why): &(RejectCode, Why)| Reason {
        code,
        pointer: match why {
            Why::User(why) => user::column(entry, why, columns).map_or(String::new(), |name| pointer_to(&name)),
            why => pointer(why),
        },
        message: match why {
            Why::User(why) => user::message(entry, why, columns),
            why => message(entry, why, options),
        },
        at: place_of(entry, why),
    };
    Reject {
        index: entry.index,
        at: entry.position(),
        reasons: found.iter().map(reason).collect(),
        excerpt: excerpt::of_entry(entry.raw),
    }
}

/// Something odd about an entry that is accepted.
pub(super) fn warning(entry: &RawEntry<'_>, code: WarningCode, why: Why, options: &Options) -> Warning {
    Warning {
        index: entry.index,
        at: entry.position(),
        code,
        pointer: pointer(why),
        message: message(entry, why, options),
    }
}

/// Where it is: the key that stands again, the key's value, or the entry.
fn place_of(entry: &RawEntry<'_>, why: Why) -> Position {
    if let Why::Repeated(_, repeat) = why {
        return entry.position_of(repeat.key);
    }
    if let Why::Order(OrderWhy { at: Some(at), .. }) | Why::User(UserWhy { at: Some(at), .. }) = why {
        return entry.position_of(at);
    }
    match why.key().and_then(|key| entry.members.get(key)) {
        Some(member) => entry.position_of(member.last.from),
        None => entry.position(),
    }
}

/// The key as a JSON Pointer. None that is looked at has a character that RFC 6901 escapes.
fn pointer(why: Why) -> String {
    match why {
        Why::Order(why) => format!("/{}", why.key.name()),
        Why::TooManyItems => "/cart/products".to_owned(),
        why => why.key().map_or(String::new(), |key| format!("/{}", key.name())),
    }
}

/// A name that the partner chose as a JSON Pointer, shortened, and fit to be shown.
fn pointer_to(name: &str) -> String {
    let name = excerpt::quoted(name.as_bytes());
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn message(entry: &RawEntry<'_>, why: Why, options: &Options) -> String {
    match why {
        Why::NotAnObject => format!("the entry is {}; an object is wanted", type_of(entry.raw)),
        Why::Repeated(key, repeat) => repeated(entry, key, repeat, options.duplicate_keys),
        Why::NoEvent => match entry.members.get(Key::Event) {
            None => "`event`, the name of the event, is missing".to_owned(),
            Some(_) => "`event` is null; the name of the event is wanted".to_owned(),
        },
        Why::Bad(key, bad) => describe(entry, key, bad),
        Why::LeftOut(key, bad) => {
            let bad = describe(entry, key, bad);
            format!("{bad}; it was left out, since `id` says who it is")
        }
        Why::NumberForId => "`id` is a number and was taken as text; write it in double quotes".to_owned(),
        Why::NoIdentity { email, unit } => no_identity(email, unit),
        Why::User(why) => user::message(entry, why, None),
        Why::Order(why) => order::message(entry, why, options.duplicate_keys),
        Why::TooManyItems => format!(
            "the order has more than {} products; so many items are not made of one order",
            items::ITEMS_MAX
        ),
    }
}

/// What is missing of an identity.
fn no_identity(email: bool, unit: bool) -> String {
    let wanted = "an entry needs `id`, or `email` and `businessUnit` together";
    match (email, unit) {
        (true, _) => format!("`businessUnit` is missing beside the e-mail address; {wanted}"),
        (false, true) => format!("`email` is missing beside the business unit; {wanted}"),
        (false, false) => format!("nothing says whose event it is; {wanted}"),
    }
}

/// What was found and what is wanted.
fn describe(entry: &RawEntry<'_>, key: Key, bad: Bad) -> String {
    let name = key.name();
    let wanted = match key {
        Key::Event | Key::BusinessUnit => format!("a text of at most {CHARS_MAX} characters"),
        Key::Id => format!("a text of at most {CHARS_MAX} characters, or an integer,"),
        Key::Email => format!("an address of at most {EMAIL_BYTES_MAX} bytes"),
        Key::Timestamp => timestamp::WANTED.to_owned(),
    };
    let shown = match entry.members.get(key) {
        Some(member) if !key.is_sensitive() => {
            format!(" ({})", excerpt::of_value(member.last.of(entry.raw.as_bytes())))
        }
        _ => String::new(),
    };
    match bad {
        Bad::Type("a number") if key == Key::Id => {
            format!("`{name}` is a number with a fraction or an exponent; {wanted} is wanted")
        }
        Bad::Type(found) => format!("`{name}` is {found}; {wanted} is wanted"),
        Bad::Blank => format!("`{name}` is blank; {wanted} is wanted"),
        Bad::TooLong(count) if key == Key::Email => format!("`{name}` has {count} bytes; {wanted} is wanted"),
        Bad::TooLong(count) => format!("`{name}` has {count} characters; {wanted} is wanted"),
        Bad::LoneSurrogate => {
            format!(
                "`{name}` holds one half of a character (a `\\ud…` escape without its other half); {wanted} is wanted"
            )
        }
        Bad::Nul => format!("`{name}` holds a NUL character (`\\u0000`); {wanted} is wanted"),
        Bad::Form(why) if key == Key::Email => format!("`{name}` is no e-mail address: {why}"),
        Bad::Form(why) => format!("`{name}`{shown} {why}; {wanted} is wanted"),
    }
}

fn repeated(entry: &RawEntry<'_>, key: Key, repeat: Repeat, policy: DuplicateKeys) -> String {
    let name = key.name();
    if !repeat.differs {
        return format!("`{name}` is there twice, with the same value; remove one");
    }
    let text = entry.raw.as_bytes();
    let values = match entry.members.get(key) {
        Some(member) if !key.is_sensitive() => {
            let (one, other) = (member.first.of(text), repeat.value.of(text));
            format!(" ({} and {})", excerpt::of_value(one), excerpt::of_value(other))
        }
        _ => String::new(),
    };
    match policy {
        DuplicateKeys::Reject => {
            format!("`{name}` is there twice, with different values{values}; remove the wrong one")
        }
        DuplicateKeys::Last => {
            format!("`{name}` is there twice, with different values{values}; the last one counts, remove the wrong one")
        }
    }
}
