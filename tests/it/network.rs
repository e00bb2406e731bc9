//! The network, and servers on bad days: whatever happens between the daemon and `sshd`, it says so, recovers by itself
//! inside its deadlines, and leaves nothing behind on either side.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::house::gate::{Gate, wait_until};
use crate::house::sshd::Sshd;

mod hostile; // servers that flood, trickle and lie
mod limits; // sessions refused, killed while idle, accounts that are shut
mod mended; // permissions, names taken, full disks and vanished roots, mended while the daemon runs
mod points; // a fault at each of many bytes

/// The first column of what a database answers; nothing where there is no such file or table yet.
fn ask(database: &Path, sql: &str) -> Vec<String> {
    let Ok(connection) = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return Vec::new();
    };
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .expect("a timeout");
    let Ok(mut select) = connection.prepare(sql) else {
        return Vec::new();
    };
    let text = |row: &rusqlite::Row<'_>| match row.get_ref(0)? {
        rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
        rusqlite::types::ValueRef::Null => Ok(String::new()),
        other => Ok(other.as_str()?.to_owned()),
    };
    let rows = select.query_map([], text).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// What troubles the source now; empty if nothing does. Asked of the ledger itself, since a look each 30 ms by the program
/// would be most of a test's work.
fn trouble(gate: &Gate) -> String {
    ask(&gate.ledger(), "SELECT trouble FROM sources").join("; ")
}

/// Waits until the source is troubled by something that says all of this.
fn wait_for_trouble(gate: &Gate, words: &[&str]) -> String {
    let mut found = String::new();
    wait_until(&format!("trouble that says {words:?}"), || {
        found = trouble(gate);
        words.iter().all(|word| found.contains(word))
    });
    found
}

/// Waits until the source is listed anew, without trouble.
fn wait_until_well(gate: &Gate) {
    let listed = || {
        let at = ask(&gate.ledger(), "SELECT listed_at FROM sources WHERE trouble IS NULL");
        at.first().and_then(|at| at.parse::<i64>().ok())
    };
    let before = listed();
    wait_until("a listing without trouble", || {
        let now = listed();
        now.is_some() && now > before
    });
}

/// How many events have arrived.
fn delivered(gate: &Gate) -> usize {
    let events = gate.state_dir().join("events.db");
    ask(&events, "SELECT count(*) FROM events")
        .first()
        .map_or(0, |count| count.parse().expect("a number"))
}

/// Waits until exactly so many events have arrived, each once.
fn wait_for_events(gate: &Gate, count: usize) {
    wait_until(&format!("{count} events"), || delivered(gate) >= count);
    let different = "SELECT count(DISTINCT archive || ' ' || \"index\") FROM events";
    let events = gate.state_dir().join("events.db");
    assert_eq!(ask(&events, different), [count.to_string()]);
    assert_eq!(delivered(gate), count, "no event twice");
}

/// The names of what a directory holds, directories left out, sorted; none if it is not there.
fn files(dir: &Path) -> Vec<String> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let found = listed.filter_map(Result::ok).filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A gate with a source over `sshd`, quick to give up, and a database of events.
fn gate_over(sshd: &Sshd, keys: &str) -> Gate {
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}{keys}", sshd.toml()));
    gate.destination_sqlite("events");
    gate
}
