//! What lies in a source's root, and what is taken up of it.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Ledger, LedgerError, WAIT_MAX_MS};
use crate::archive::kind_of;

/// A feed's file as it was just listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// File name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// UTC milliseconds.
    pub mtime: i64,
}

/// How many files of a listing are no archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// All files listed.
    pub files: u64,
    /// No feeds at all.
    pub ignored: u64,
    /// Uploads in progress, by their names.
    pub in_progress: u64,
}

/// A file nothing has become of yet, and that may be looked at now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub seen: Seen,
    /// When it was first listed.
    pub first_seen_at: i64,
    /// Since when its size and mtime are what they are.
    pub changed_at: i64,
    /// Whether this very look was the first at this size and mtime.
    pub fresh: bool,
    /// Looks or reads in vain so far.
    pub attempts: u32,
    /// Not to be looked at before this time.
    pub look_at: Option<i64>,
    /// The import that somebody ran `retry` on.
    pub retry_of: Option<i64>,
    /// The SHA-256 with which it failed, if it seems unchanged since and is to be looked at once more all the same.
    pub failed_before: Option<[u8; 32]>,
    /// Whether it was read, and needs what a user feed that waits will say.
    pub held: bool,
}

/// Why a file was not taken up this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// File name.
    pub name: String,
    /// In words, for `status`.
    pub waiting: String,
    /// Not before this time; `None`: with the next listing.
    pub look_at: Option<i64>,
    /// Looks in vain.
    pub attempts: u32,
}

/// Leave to import a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The file.
    pub seen: Seen,
    /// When it was first listed.
    pub first_seen_at: i64,
    /// The time in its name, UTC milliseconds.
    pub named_at: Option<i64>,
    /// The import that somebody ran `retry` on.
    pub retry_of: Option<i64>,
}

impl Ledger {
    /// Notes a listing, forgets what is gone, and returns the files nothing has become of yet.
    pub async fn look(
        &self,
        source: &str,
        listing: Vec<Seen>,
        passed: Passed,
        now: i64,
    ) -> Result<Vec<Candidate>, LedgerError> {
        let source = source.to_owned();
        self.write("noting a listing", move |transaction| {
            let candidates = compare(transaction, &source, listing, now)?;
            transaction.execute(
                "INSERT INTO sources (name, listed_at, files, ignored, in_progress) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET listed_at = ?2, files = ?3, ignored = ?4, in_progress = ?5",
                params![source, now, passed.files, passed.ignored, passed.in_progress],
            )?;
            Ok(candidates)
        })
        .await
    }

    /// Notes why files were not taken up.
    pub async fn postpone(&self, source: &str, postponed: Vec<Postponed>) -> Result<(), LedgerError> {
        if postponed.is_empty() {
            return Ok(());
        }
        let source = source.to_owned();
        self.write("noting what waits", move |transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE listed SET waiting = ?3, look_at = ?4, attempts = ?5 WHERE source = ?1 AND name = ?2",
            )?;
            for file in &postponed {
                update.execute(params![source, file.name, file.waiting, file.look_at, file.attempts])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that archives were read, and wait for a user feed: each with what is said of it.
    pub async fn hold(&self, source: &str, held: Vec<(String, String)>) -> Result<(), LedgerError> {
        if held.is_empty() {
            return Ok(());
        }
        let source = source.to_owned();
        self.write("noting what waits for a user feed", move |transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE listed SET held = 1, waiting = ?3, look_at = NULL, attempts = 0 WHERE source = ?1 AND name = ?2",
            )?;
            for (name, waiting) in &held {
                update.execute(params![source, name, waiting])?;
            }
            Ok(())
        })
        .await
    }

    /// The time in the name of the newest user feed of a source that was taken in.
    pub async fn newest_user_feed(&self, source: &str) -> Result<Option<i64>, LedgerError> {
        let source = source.to_owned();
        self.read("looking for the newest user feed", move |connection| {
            connection
                .prepare_cached(
                    "SELECT max(named_at) FROM imports INDEXED BY imports_by_time
                     WHERE source = ?1 AND kind = 'users' AND imported = 1",
                )?
                .query_row([source], |row| row.get(0))
        })
        .await
    }

    /// Notes that archives which had failed were looked at once more, and are what they were.
    pub async fn as_before(&self, source: &str, names: Vec<String>) -> Result<(), LedgerError> {
        if names.is_empty() {
            return Ok(());
        }
        let source = source.to_owned();
        self.write("noting a second look", move |transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE listed SET look_at = NULL, attempts = 0, waiting = NULL
                 WHERE source = ?1 AND name = ?2 AND import IS NOT NULL AND retry = 0",
            )?;
            for name in &names {
                update.execute(params![source, name])?;
            }
            Ok(())
        })
        .await
    }

    /// Gives each file an id, in order.
    pub async fn claim(&self, source: &str, claims: Vec<Claim>, now: i64) -> Result<Vec<i64>, LedgerError> {
        let source = source.to_owned();
        self.write("claiming archives", move |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO imports (source, archive, named_at, size, mtime, status, first_seen_at, claimed_at, path, retry_of, kind)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'importing', ?6, ?7, ?2, ?8, ?9)",
            )?;
            let mut ids = Vec::with_capacity(claims.len());
            for claim in &claims {
                let Seen { name, size, mtime } = &claim.seen;
                insert.execute(params![
                    source,
                    name,
                    claim.named_at,
                    size,
                    mtime,
                    claim.first_seen_at,
                    now,
                    claim.retry_of,
                    kind_of(name).as_str(),
                ])?;
                ids.push(transaction.last_insert_rowid());
            }
            Ok(ids)
        })
        .await
    }

    /// Takes claims back: nothing came of them, and the files are looked at again.
    pub async fn unclaim(&self, ids: Vec<i64>) -> Result<(), LedgerError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write_unreferred("taking claims back", move |transaction| {
            let mut delete =
                transaction.prepare_cached("DELETE FROM imports WHERE id = ?1 AND status = 'importing'")?;
            for id in &ids {
                delete.execute([id])?;
            }
            Ok(())
        })
        .await
    }

    /// Takes back every claim of a source whose turn was cut off.
    pub async fn unclaim_source(&self, source: &str) -> Result<usize, LedgerError> {
        let source = source.to_owned();
        self.write_unreferred("taking claims back", move |transaction| {
            transaction.execute(
                "DELETE FROM imports INDEXED BY imports_claimed WHERE status = 'importing' AND source = ?1",
                [&source],
            )
        })
        .await
    }

    /// Takes back every claim: a daemon that was killed had them. Only for whoever holds the state directory's lock.
    pub async fn unclaim_all(&self) -> Result<usize, LedgerError> {
        self.write_unreferred("taking claims back", |transaction| {
            transaction.execute("DELETE FROM imports WHERE status = 'importing'", [])
        })
        .await
    }
}

/// What is known of a file from the listings before.
struct Known<'a> {
    name: &'a str,
    size: u64,
    mtime: i64,
    first_seen_at: i64,
    changed_at: i64,
    import: Option<i64>,
    retry: bool,
    attempts: u32,
    look_at: Option<i64>,
    held: bool,
}

impl<'a> Known<'a> {
    /// By number, and the name where it lies: there may be a hundred thousand rows, and nothing is to be done about most.
    fn from_row(row: &'a Row<'_>) -> rusqlite::Result<Known<'a>> {
        Ok(Known {
            name: row.get_ref(0)?.as_str()?,
            size: row.get(1)?,
            mtime: row.get(2)?,
            first_seen_at: row.get(3)?,
            changed_at: row.get(4)?,
            import: row.get(5)?,
            retry: row.get(6)?,
            attempts: row.get(7)?,
            look_at: row.get(8)?,
            held: row.get(9)?,
        })
    }

    /// Whether waiting begins anew: it is another file now, or a time is told that has not come yet (the clock was set back).
    fn begins_anew(&self, seen: &Seen, now: i64) -> bool {
        (self.size, self.mtime) != (seen.size, seen.mtime) || (self.import.is_none() && self.changed_at > now)
    }
}

/// What has changed from one listing to the next.
#[derive(Default)]
struct Changes {
    candidates: Vec<Candidate>,
    /// Places in `candidates` of files that were not there before, and of those that are other files now.
    new: Vec<usize>,
    changed: Vec<usize>,
    /// Likewise of those that failed and are to be looked at once more, each with its import.
    doubted: Vec<(usize, i64)>,
    gone: Vec<String>,
}

impl Changes {
    fn new_file(&mut self, seen: Seen, now: i64) {
        self.new.push(self.candidates.len());
        self.candidates.push(Candidate {
            seen,
            first_seen_at: now,
            changed_at: now,
            fresh: true,
            attempts: 0,
            look_at: None,
            retry_of: None,
            failed_before: None,
            held: false,
        });
    }

    /// The same without these files, of which nothing is to be done.
    fn without(self, names: &HashSet<String>) -> Changes {
        let mut rest = Changes {
            gone: self.gone,
            ..Changes::default()
        };
        let (new, changed): (HashSet<_>, HashSet<_>) =
            (self.new.into_iter().collect(), self.changed.into_iter().collect());
        for (place, candidate) in self.candidates.into_iter().enumerate() {
            if names.contains(&candidate.seen.name) {
                continue;
            }
            if new.contains(&place) {
                rest.new.push(rest.candidates.len());
            }
            if changed.contains(&place) {
                rest.changed.push(rest.candidates.len());
            }
            rest.candidates.push(candidate);
        }
        rest
    }

    fn known_file(&mut self, known: &Known<'_>, seen: Seen, now: i64) {
        let anew = known.begins_anew(&seen, now);
        if !anew && known.import.is_some() && !known.retry && known.look_at.is_none() {
            return; // something has become of it
        }
        if anew {
            self.changed.push(self.candidates.len());
        } else if let Some(import) = known.import.filter(|_| !known.retry) {
            self.doubted.push((self.candidates.len(), import));
        }
        self.candidates.push(Candidate {
            seen,
            first_seen_at: known.first_seen_at,
            changed_at: if anew { now } else { known.changed_at },
            fresh: anew,
            attempts: if anew { 0 } else { known.attempts },
            look_at: known
                .look_at
                .filter(|at| !anew && *at <= now.saturating_add(WAIT_MAX_MS)),
            retry_of: known.import.filter(|_| !anew && known.retry),
            failed_before: None,
            held: known.held && !anew,
        });
    }
}

/// Holds a listing against the one before, and brings the table up to date.
fn compare(
    transaction: &Transaction<'_>,
    source: &str,
    listing: Vec<Seen>,
    now: i64,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut changes = changes(transaction, source, listing, now)?;
    let mut failed = transaction.prepare_cached("SELECT sha256 FROM imports WHERE id = ?1")?;
    for (place, import) in &changes.doubted {
        changes.candidates[*place].failed_before = failed.query_row([import], |row| row.get(0))?;
    }
    come_back(transaction, source, &mut changes, now)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO listed (source, name, size, mtime, first_seen_at, changed_at, waiting)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, 'to settle')",
    )?;
    let mut change = transaction.prepare_cached(
        "UPDATE listed SET size = ?3, mtime = ?4, changed_at = ?5, import = NULL, retry = 0, attempts = 0, look_at = NULL,
                           held = 0, waiting = 'to settle'
         WHERE source = ?1 AND name = ?2",
    )?;
    for (statement, places) in [(&mut insert, &changes.new), (&mut change, &changes.changed)] {
        for place in places {
            let Seen { name, size, mtime } = &changes.candidates[*place].seen;
            statement.execute(params![source, name, size, mtime, now])?;
        }
    }
    let mut delete = transaction.prepare_cached("DELETE FROM listed WHERE source = ?1 AND name = ?2")?;
    for gone in &changes.gone {
        delete.execute(params![source, gone])?;
    }
    Ok(changes.candidates)
}

/// Recognises files that were gone from a listing and are back as they were: of a root that was empty for a while (a volume
/// that was not mounted, a server that listed nothing) nothing is looked at again that had been left there, but what had failed
/// within seconds of its last change: it may have been read too soon, and the second look that was due is forgotten.
fn come_back(transaction: &Transaction<'_>, source: &str, changes: &mut Changes, now: i64) -> rusqlite::Result<()> {
    let mut last = transaction.prepare_cached(
        "SELECT id, disposition = 'left' AND size = ?3 AND mtime = ?4,
                status = 'failed' AND sha256 IS NOT NULL AND claimed_at < max(mtime, first_seen_at) + 3000 FROM imports
         WHERE source = ?1 AND archive = ?2 AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1",
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO listed (source, name, size, mtime, first_seen_at, changed_at, import, look_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7)",
    )?;
    let mut are_back = HashSet::new();
    for place in &changes.new {
        let Seen { name, size, mtime } = &changes.candidates[*place].seen;
        let became: Option<(i64, bool, bool)> = last
            .query_row(params![source, name, size, mtime], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        if let Some((import, true, read_too_soon)) = became {
            let look_at = read_too_soon.then_some(now);
            insert.execute(params![source, name, size, mtime, now, import, look_at])?;
            are_back.insert(name.clone());
        }
    }
    if !are_back.is_empty() {
        *changes = std::mem::take(changes).without(&are_back);
    }
    Ok(())
}

/// Goes through both listings in the order of names, side by side: the one before is never in memory as a whole, and a
/// hundred thousand files that nothing is to be done about cost a comparison each.
fn changes(transaction: &Transaction<'_>, source: &str, listing: Vec<Seen>, now: i64) -> rusqlite::Result<Changes> {
    let mut select = transaction.prepare_cached(
        "SELECT name, size, mtime, first_seen_at, changed_at, import, retry, attempts, look_at, held
         FROM listed WHERE source = ?1 ORDER BY name",
    )?;
    let mut rows = select.query([source])?;
    let mut changes = Changes::default();
    let mut listing = in_order(listing).peekable();
    while let Some(row) = rows.next()? {
        let known = Known::from_row(row)?;
        while let Some(seen) = listing.next_if(|seen| seen.name.as_str() < known.name) {
            changes.new_file(seen, now);
        }
        match listing.next_if(|seen| seen.name == known.name) {
            Some(seen) => changes.known_file(&known, seen, now),
            None => changes.gone.push(known.name.to_owned()),
        }
    }
    for seen in listing {
        changes.new_file(seen, now);
    }
    Ok(changes)
}

/// A listing in the table's own order: by the bytes of the names.
///
/// Feeds' names begin alike, and comparing them whole is half of what a poll of a hundred thousand files costs. So what they
/// all begin with is passed over, and mostly the 16 bytes after it decide.
fn in_order(listing: Vec<Seen>) -> impl Iterator<Item = Seen> {
    let first = listing.first().map(|seen| seen.name.clone()).unwrap_or_default();
    let alike = listing.iter().fold(first.len(), |alike, seen| {
        let both = first.as_bytes()[..alike].iter().zip(seen.name.as_bytes());
        both.take_while(|(a, b)| a == b).count()
    });
    let key = |name: &str| {
        let mut key = [0; 16];
        let rest = &name.as_bytes()[alike..];
        let len = rest.len().min(key.len());
        key[..len].copy_from_slice(&rest[..len]);
        u128::from_be_bytes(key)
    };
    let mut listing: Vec<(u128, Seen)> = listing.into_iter().map(|seen| (key(&seen.name), seen)).collect();
    listing.sort_unstable_by(|(a_key, a), (b_key, b)| a_key.cmp(b_key).then_with(|| a.name.cmp(&b.name)));
    // A server may list a name twice while it is being renamed; the table holds it once.
    listing.dedup_by(|(_, a), (_, b)| a.name == b.name);
    listing.into_iter().map(|(_, seen)| seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_comes_in_the_order_of_bytes_and_each_name_once() {
        let check = |names: &[&str]| {
            let seen = |name: &&str| Seen {
                name: (*name).to_owned(),
                size: 1,
                mtime: 1,
            };
            let found: Vec<String> = in_order(names.iter().map(seen).collect())
                .map(|seen| seen.name)
                .collect();
            let mut expect: Vec<&str> = names.to_vec();
            expect.sort_unstable();
            expect.dedup();
            assert_eq!(found, expect);
        };
        check(&[]);
        check(&["a"]);
        check(&["b", "a", "b", "a"]);
        check(&["event_2", "event_10", "event_", "event_1\0", "event_1"]);
        check(&["event", "event_history", "Event_history", "äöü", "éa", "é"]);
        check(&[
            "f0123456789abcdefZ",
            "f0123456789abcdefY",
            "f0123456789abcdef",
            "f0123456789abcde",
        ]);
        check(&["same", "same", "same"]);
    }
}
