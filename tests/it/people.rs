//! Who is who: the cases of identity, the reading of people through kills, gaps and orders, and what is looked up for Bento.

mod cases; // each case, feeds in and a table out
mod cli; // `feedgate people`, and what `status` says
mod from_a_user_feed; // the real binary, a user feed that runs first, and one that is late
mod held; // events that wait for an address, in the order that matters
mod kills; // SIGKILL while people are read
mod model; // any entries at all, against a model that could not be simpler
mod speed; // a million of them

use std::path::Path;

use feedgate::people::{Follower, Step};
use rusqlite::Connection;

use crate::house::archives::Archive;
use crate::house::world::World;

/// What somebody says in a feed: id, e-mail address, unit; `-` is nothing.
#[derive(Debug, Clone, Copy)]
enum Feed<'a> {
    Events(&'a [&'a str]),
    Users(&'a [&'a str]),
}

/// Entries as JSON, from `id email unit` each. A record of a user feed has no use for its `event`.
fn json(entries: &[&str]) -> String {
    let entry = |entry: &&str| {
        let mut members = vec![r#""event":"Viewed Page""#.to_owned()];
        for (key, value) in ["id", "email", "businessUnit"].iter().zip(entry.split(' ')) {
            if value != "-" {
                members.push(format!("{key:?}:{}", serde_json::json!(value)));
            }
        }
        format!("{{{}}}", members.join(","))
    };
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!("[{}]", entries.join(","))
}

/// Digits of an archive's name: the first, the second and so on.
fn digits(number: usize) -> String {
    format!("202602{:02}000000", number + 1)
}

/// Takes feeds in, one after the other. A user feed is one by its bytes in the spool and its row; how it gets there is told in
/// `other_feeds`.
async fn import(world: &World, number: usize, feed: Feed<'_>) -> i64 {
    match feed {
        Feed::Events(entries) => world.import("acme", &digits(number), &json(entries)).await,
        Feed::Users(records) => {
            let text = json(records);
            let id = world.import("acme", &digits(number), &text).await;
            std::fs::write(world.spooled("acme", &digits(number)), &text).expect("the spool file");
            world.tamper(&format!(
                "UPDATE imports SET kind = 'users', onward = 0, spool_len = {} WHERE id = {id}",
                text.len()
            ));
            id
        }
    }
}

/// Reads all there is to read, and returns how many entries that was.
async fn read(world: &World) -> usize {
    let mut follower = Follower::new(world.ledger.clone(), &world.path("spool"));
    let mut entries = 0;
    loop {
        match follower.step().await.expect("read") {
            Step::Heard(heard) => entries += heard,
            Step::Done | Step::NotKept => return entries,
        }
    }
}

/// The people and the clashes of a ledger, a line each.
fn table(ledger: &Path) -> Vec<String> {
    let ledger = Connection::open(ledger).expect("the ledger");
    let mut lines = Vec::new();
    let people = "SELECT coalesce(user_id, '-') || ' ' || coalesce(email, '-') || ' ' || iif(unit = '', '-', unit)
            || ' ' || first_import || '.' || first_index || ' ' || last_import || '.' || last_index
            || iif(upgraded_at IS NULL, '', ' upgraded ' || upgraded_import || '.' || upgraded_index)
            || iif(merged, ' merged', '')
        FROM people ORDER BY coalesce(user_id, '~'), email_folded, unit";
    let clashes = "SELECT 'clash ' || import || '.' || \"index\" || ' ' || what || ' ' || user_id || ' ' || email || ' '
            || iif(unit = '', '-', unit) || ': '
            || coalesce((SELECT coalesce(user_id, 'lead') FROM people WHERE people.person = clashes.person), 'nobody') || ', '
            || (SELECT coalesce(user_id, 'lead') FROM people WHERE people.person = other)
        FROM clashes ORDER BY import, \"index\"";
    for sql in [people, clashes] {
        let mut select = ledger.prepare(sql).expect("a question");
        let rows = select.query_map([], |row| row.get(0)).expect("rows");
        lines.extend(rows.map(|row| row.expect("a row")));
    }
    lines
}

/// What the ledger counted of its people, and what there is.
fn counts_are_right(ledger: &Path) {
    let ledger = Connection::open(ledger).expect("the ledger");
    let right: bool = ledger
        .query_row(
            "SELECT users = (SELECT count(*) FROM people WHERE user_id IS NOT NULL)
                AND leads = (SELECT count(*) FROM people WHERE user_id IS NULL)
                AND clashes >= (SELECT count(*) FROM clashes)
                AND (SELECT count(*) FROM people_keys) + (SELECT count(*) FROM people_young)
                    = (SELECT count(user_id) + count(email) FROM people) FROM people_reading",
            [],
            |row| row.get(0),
        )
        .expect("counts");
    assert!(right, "the counts of people are wrong");
}

/// An event feed, packed.
fn archive(number: usize, entries: &[&str]) -> (String, Vec<u8>) {
    Archive::feed(&digits(number), &json(entries))
}
