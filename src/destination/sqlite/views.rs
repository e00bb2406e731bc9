//! A view for each event name, so that people find their events without knowing how names are spelt.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use crate::events::Batch;

/// Most views. Without a limit a feed of made-up names would fill the schema, which SQLite reads whole on every opening.
const VIEWS_MAX: usize = 200;

/// Most characters of a view's name taken from the event's. Names are up to 255 characters long.
const NAME_CHARS_MAX: usize = 60;

/// The event names that have a view.
pub(super) struct Views {
    known: HashSet<String>,
}

impl Views {
    /// Those that are in the database.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Views> {
        let known = connection
            .prepare("SELECT event FROM feedgate_views")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Views { known })
    }

    /// Makes views for event names that are new in a batch, within the transaction that is open. Where that is rolled
    /// back, the views are to be loaded anew.
    pub(super) fn add_new(&mut self, connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
        let mut previous = "";
        for event in batch.event_names() {
            if self.known.len() >= VIEWS_MAX {
                return Ok(());
            }
            // Feeds come in runs of the same name.
            if event != previous && !self.known.contains(event) {
                create(connection, event)?;
                self.known.insert(event.to_owned());
            }
            previous = event;
        }
        Ok(())
    }
}

fn create(connection: &Connection, event: &str) -> rusqlite::Result<()> {
    let name = free_name(connection, &snake_case(event))?;
    connection.execute(
        "INSERT INTO feedgate_views (event, view) VALUES (?1, ?2)",
        [event, &name],
    )?;
    // A view takes no parameters. The name is of [a-z0-9_] alone; in a literal only the quote means anything, and the feed's
    // rules keep NUL, which would end the statement, out of event names.
    let literal = event.replace('\'', "''");
    connection.execute_batch(&format!(
        "CREATE VIEW {name} AS
            SELECT n, id, time, user_id, email, business_unit, body, source, archive, import, \"index\"
            FROM events WHERE event = '{literal}'"
    ))
}

/// The name itself, or with the first number that makes it one of its own.
fn free_name(connection: &Connection, event: &str) -> rusqlite::Result<String> {
    let mut taken = connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE")?;
    let mut name = format!("event_{event}");
    let mut number = 1;
    while taken.query_row([&name], |_| Ok(())).optional()?.is_some() {
        number += 1;
        name = format!("event_{event}_{number}");
    }
    Ok(name)
}

/// `Completed Order` and `completedOrder` as `completed_order`; only `a` to `z`, `0` to `9` and single `_`.
fn snake_case(event: &str) -> String {
    let mut name = String::new();
    let mut previous_is_small = false;
    for char in event.chars() {
        if name.len() >= NAME_CHARS_MAX {
            break;
        }
        let begins_a_word = char.is_ascii_uppercase() && previous_is_small;
        previous_is_small = char.is_ascii_lowercase() || char.is_ascii_digit();
        if (begins_a_word || !char.is_ascii_alphanumeric()) && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        if char.is_ascii_alphanumeric() {
            name.push(char.to_ascii_lowercase());
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    if name.is_empty() {
        // Nothing of it can be written in these letters.
        name.push_str("unnamed");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, expect: &str) {
        assert_eq!(snake_case(event), expect, "{event:?}");
    }

    #[test]
    fn names() {
        check("purchase", "purchase");
        check("Completed Order", "completed_order");
        check("completedOrder2Go", "completed_order2_go");
        check("HTTP error", "http_error");
        check("  a -- b  ", "a_b");
        check("__x__", "x");
        check("Größe", "gr_e");
        check("🎉🎉", "unnamed");
        check("'; DROP TABLE events; --", "drop_table_events");
        check("a\nb\0c", "a_b_c");
        check(&"x".repeat(255), &"x".repeat(60));
    }
}
