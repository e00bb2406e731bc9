//! People, for those who look: how many there are, one of them, what clashed.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::super::report::time;
use super::super::{Cursor, Ledger, LedgerError};
use super::reading::reading;
use super::{Mention, PeopleGap, Person, SELECT_PERSON, Who, find, folded, person};

/// How many there are, and how far they have been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeopleReport {
    /// Whether the daemon keeps them up to date.
    pub kept: bool,
    /// People with an id.
    pub users: u64,
    /// People without.
    pub leads: u64,
    /// Leads that became users, ever.
    pub upgraded: u64,
    /// Clashes, ever.
    pub clashes: u64,
    /// The next entry to read: order of commit, index.
    pub seq: i64,
    /// Likewise.
    pub index: u64,
    /// Imports that have not been read to their end.
    pub imports_to_come: u64,
    /// Entries in them.
    pub entries_to_come: u64,
    /// What could not be read any more.
    pub gap: Option<PeopleGap>,
    /// Why reading does not go on.
    pub trouble: Option<String>,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonReport {
    /// A number of ours.
    pub person: i64,
    /// `user`, or `lead` without an id.
    pub kind: &'static str,
    /// The id that the partner gives.
    pub id: Option<String>,
    /// The e-mail address, as it was given first, or by the last record of a user feed.
    pub email: Option<String>,
    /// The business unit; empty: none.
    pub business_unit: String,
    /// Where they were spoken of first.
    pub first_seen: MentionReport,
    /// And last.
    pub last_seen: MentionReport,
    /// Where a lead was given its id.
    pub upgraded: Option<MentionReport>,
    /// Whether the id was known by then: two became one.
    pub merged: bool,
    /// What clashes with them.
    pub clashes: Vec<ClashReport>,
}

/// Where somebody was spoken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MentionReport {
    /// The import's id.
    pub import: i64,
    /// The archive's name.
    pub archive: Option<String>,
    /// Index of the entry.
    pub index: u64,
    /// When it was imported.
    pub at: String,
}

/// An entry that clashes with what is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClashReport {
    /// Where.
    #[serde(flatten)]
    pub place: MentionReport,
    /// What it says.
    pub what: String,
    /// The id it gives.
    pub id: String,
    /// The e-mail address it gives.
    pub email: String,
    /// The unit it gives; empty: none.
    pub business_unit: String,
    /// Whose id it is, by number; `None`: nobody's.
    pub person: Option<i64>,
    /// Whose address it is, by number.
    pub other: i64,
    /// The id of the one whose address it is.
    pub other_id: Option<String>,
}

impl Ledger {
    /// How many people there are, and how far they have been read; `None` if nobody ever needed them.
    pub async fn people(&self) -> Result<Option<PeopleReport>, LedgerError> {
        self.read("counting people", |ledger| {
            let ledger = &*ledger.unchecked_transaction()?;
            let reading = reading(ledger)?;
            if !reading.kept && reading.at.seq == 0 {
                return Ok(None);
            }
            let (imports_to_come, entries_to_come) = to_come(ledger, reading.at)?;
            Ok(Some(PeopleReport {
                kept: reading.kept,
                users: reading.users,
                leads: reading.leads,
                upgraded: reading.upgraded,
                clashes: reading.clashes,
                seq: reading.at.seq,
                index: reading.at.index,
                imports_to_come,
                entries_to_come,
                gap: reading.gap,
                trouble: reading.trouble,
            }))
        })
        .await
    }

    /// Whoever has this id; and, where it is an e-mail address, whoever has that: in this unit (empty: in none), or in any. At
    /// most so many, each with at most so many clashes.
    pub async fn people_by(
        &self,
        text: &str,
        unit: Option<String>,
        most: usize,
    ) -> Result<Vec<PersonReport>, LedgerError> {
        let text = text.to_owned();
        self.read("looking somebody up", move |ledger| {
            let ledger = &*ledger.unchecked_transaction()?;
            let mut found = Vec::new();
            match unit {
                Some(unit) => found.extend(find(ledger, &Who::Pair(folded(&text), unit))?),
                None => {
                    found.extend(find(ledger, &Who::Id(text.clone()))?);
                    let mut select = ledger.prepare_cached(&format!(
                        "{SELECT_PERSON} WHERE email_folded = ?1 ORDER BY unit LIMIT ?2"
                    ))?;
                    let rows = select.query_map(params![folded(&text), most as i64], person)?;
                    found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
                }
            }
            found.dedup_by_key(|person| person.number);
            found.into_iter().map(|person| in_full(ledger, person, most)).collect()
        })
        .await
    }

    /// The newest clashes, the newest last.
    pub async fn clashes(&self, limit: Option<u64>) -> Result<Vec<ClashReport>, LedgerError> {
        self.read("looking for clashes", move |ledger| {
            let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
            let mut found = clashes(ledger, "1 = ?1 ORDER BY import DESC, \"index\" DESC", 1, limit)?;
            found.reverse();
            Ok(found)
        })
        .await
    }
}

/// Imports and entries ahead of a cursor, summed up from indexes alone: there may be a million.
fn to_come(ledger: &Connection, at: Cursor) -> rusqlite::Result<(u64, u64)> {
    let (imports, entries): (u64, u64) = ledger
        .prepare_cached(
            "SELECT count(*), coalesce(sum(accepted), 0) FROM imports INDEXED BY imports_onward WHERE onward = 1 AND seq >= ?1",
        )?
        .query_row([at.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (feeds, records): (u64, u64) = ledger
        .prepare_cached(
            "SELECT count(*), coalesce(sum(accepted), 0) FROM imports INDEXED BY imports_of_users
             WHERE kind = 'users' AND imported = 1 AND seq >= ?1",
        )?
        .query_row([at.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((imports + feeds, (entries + records).saturating_sub(at.index)))
}

fn in_full(ledger: &Connection, person: Person, most: usize) -> rusqlite::Result<PersonReport> {
    Ok(PersonReport {
        person: person.number,
        kind: if person.user_id.is_some() { "user" } else { "lead" },
        id: person.user_id,
        email: person.email,
        business_unit: person.unit,
        first_seen: mention(ledger, person.first)?,
        last_seen: mention(ledger, person.last)?,
        upgraded: person.upgraded.map(|place| mention(ledger, place)).transpose()?,
        merged: person.merged,
        clashes: clashes(
            ledger,
            "(person = ?1 OR other = ?1) ORDER BY import, \"index\"",
            person.number,
            most as i64,
        )?,
    })
}

fn mention(ledger: &Connection, mention: Mention) -> rusqlite::Result<MentionReport> {
    let archive = ledger
        .prepare_cached("SELECT archive FROM imports WHERE id = ?1")?
        .query_row([mention.import], |row| row.get(0))
        .optional()?;
    Ok(MentionReport {
        import: mention.import,
        archive,
        index: mention.index,
        at: time(mention.at),
    })
}

fn clashes(ledger: &Connection, which: &str, person: i64, limit: i64) -> rusqlite::Result<Vec<ClashReport>> {
    let mut select = ledger.prepare_cached(&format!(
        "SELECT import, \"index\", at, what, user_id, email, unit, person, other,
            (SELECT user_id FROM people WHERE people.person = clashes.other) FROM clashes WHERE {which} LIMIT ?2"
    ))?;
    let rows = select.query_map(params![person, limit], |row| {
        let place = Mention {
            import: row.get(0)?,
            index: row.get(1)?,
            at: row.get(2)?,
        };
        Ok(ClashReport {
            place: mention(ledger, place)?,
            what: row.get(3)?,
            id: row.get(4)?,
            email: row.get(5)?,
            business_unit: row.get(6)?,
            person: row.get(7)?,
            other: row.get(8)?,
            other_id: row.get(9)?,
        })
    })?;
    rows.collect()
}
