//! Who the events are about: people, what is known of each, and how far they have been read from what was imported.
//!
//! What an entry comes to is decided by `crate::people`; here is the SQL. Everything that is written about people is written
//! together with the place up to which they have been read, so that a crash leaves them as they were at some entry, and the
//! reading goes on behind that one.
//!
//! | | |
//! |---|---|
//! | `advance` | what some entries came to, in one transaction |
//! | `directory` | looking somebody up, for deliveries |
//! | `forget` | as if somebody had never been heard of |
//! | `keys` | by what people are found |
//! | `reading` | how far they have been read, and what is to be read next |
//! | `report` | for people who look: one of them, clashes |

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

mod advance;
mod directory;
mod forget;
mod keys;
mod reading;
mod report;

pub use advance::{Change, Heard};
pub use directory::{Directory, Known, LookedUp};
pub use reading::{Concerned, PeopleAhead, PeopleGap, PeopleReading};
pub use report::{ClashReport, MentionReport, PeopleReport, PersonReport};

pub(super) use directory::is_known;
pub(super) use forget::forget;
pub(super) use reading::held_by_people;

/// An address as addresses are compared: all of it in lower case, as Unicode has it. The part before the `@` may tell case by
/// its standard, and nobody's does; the vendor's own look-ups ignore it too.
pub fn folded(email: &str) -> String {
    email.to_lowercase()
}

/// Where somebody was spoken of, and when that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// When, UTC milliseconds.
    pub at: i64,
    /// The import's id.
    pub import: i64,
    /// Index of the entry in it.
    pub index: u64,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// A number of ours.
    pub number: i64,
    /// The id that the partner gives; `None`: a lead.
    pub user_id: Option<String>,
    /// The e-mail address, as it was given first, or by the last record of a user feed.
    pub email: Option<String>,
    /// The business unit; empty: none.
    pub unit: String,
    /// Where they were spoken of first.
    pub first: Mention,
    /// And last.
    pub last: Mention,
    /// Where a lead was given its id.
    pub upgraded: Option<Mention>,
    /// Whether the id was known by then: two became one.
    pub merged: bool,
}

impl Person {
    /// By what they are known besides their id: the address as it is compared, and the unit.
    pub fn pair(&self) -> Option<(String, String)> {
        self.email.as_deref().map(|email| (folded(email), self.unit.clone()))
    }
}

/// By what somebody is looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// By id.
    Id(String),
    /// By e-mail address, as it is compared, and unit.
    Pair(String, String),
}

impl Who {
    /// As the ledger writes it. No address has a blank in it.
    pub fn key(&self) -> String {
        match self {
            Who::Id(id) => format!("id {id}"),
            Who::Pair(email, unit) => format!("email {email} {unit}"),
        }
    }
}

/// Two people that an entry takes for one, or one that it takes for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The entry.
    pub place: Mention,
    /// What it says.
    pub what: ClashKind,
    /// The id it gives.
    pub user_id: String,
    /// The e-mail address it gives.
    pub email: String,
    /// The unit it gives; empty: none.
    pub unit: String,
    /// Whose id it is, by number; `None`: nobody's.
    pub person: Option<i64>,
    /// Whose address it is, by number.
    pub other: i64,
}

/// What an entry says that clashes with what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClashKind {
    /// An id that nobody has, with the address of a user who has another.
    NewIdForAUser,
    /// The id of one user, with the address of another.
    AddressOfAnotherUser,
    /// The id of a user who has another address, with that of a lead.
    AddressOfALead,
}

impl ClashKind {
    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            ClashKind::NewIdForAUser => "new_id_for_a_user",
            ClashKind::AddressOfAnotherUser => "address_of_another_user",
            ClashKind::AddressOfALead => "address_of_a_lead",
        }
    }
}

/// Selects what a person is read from: for [`person`].
const SELECT_PERSON: &str =
    "SELECT person, user_id, email, unit, first_at, first_import, first_index, last_at, last_import,
    last_index, upgraded_at, upgraded_import, upgraded_index, merged FROM people";

/// What [`SELECT_PERSON`] reads.
fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    let mention = |first: usize| -> rusqlite::Result<Mention> {
        Ok(Mention {
            at: row.get(first)?,
            import: row.get(first + 1)?,
            index: row.get(first + 2)?,
        })
    };
    let is_upgraded = row.get::<_, Option<i64>>(10)?.is_some();
    Ok(Person {
        number: row.get(0)?,
        user_id: row.get(1)?,
        email: row.get(2)?,
        unit: row.get(3)?,
        first: mention(4)?,
        last: mention(7)?,
        upgraded: if is_upgraded { Some(mention(10)?) } else { None },
        merged: row.get(13)?,
    })
}

/// Somebody, by what they are known by.
fn find(ledger: &Connection, who: &Who) -> rusqlite::Result<Option<Person>> {
    let mut select = ledger.prepare_cached(&format!("{SELECT_PERSON} WHERE person IN ({})", keys::CANDIDATES))?;
    let mut rows = select.query([keys::hash(who)])?;
    while let Some(row) = rows.next()? {
        let found = person(row)?;
        let is_meant = match who {
            Who::Id(id) => found.user_id.as_ref() == Some(id),
            Who::Pair(email, unit) => {
                found.unit == *unit && found.email.as_deref().is_some_and(|known| folded(known) == *email)
            }
        };
        if is_meant {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
