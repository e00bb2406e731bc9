//! The daemon's life: it is started twice, told to end, its servers go and come, somebody edits its
//! configuration. Stories told through the real binary, most of them over OpenSSH's `sshd`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::house::archives::{Archive, Method};
use crate::house::far_end::FarEnd;
use crate::house::gate::{Gate, wait_until};
use crate::house::sshd::Sshd;

mod clock; // set back and forward
mod disk; // retention, and a disk that is full
mod first_process; // as process 1 of a container
mod interrupted; // told to end, at every stage
mod ledger_faults; // a ledger that is damaged, newer, held by somebody, not to be written
mod local; // a directory that tells of changes
mod neighbours; // two programs on one source, or on one state directory
mod once; // a single pass, from cron
mod others; // a day with each of the servers that are not OpenSSH, and with OpenSSH's other forms
mod put_back; // state that was lost, or put back from a backup
mod putting_away; // names taken, directories that refuse, files that cannot be read
mod reload; // new settings while it runs
mod servers; // down, restarted, frozen, another key, another password
mod stopping; // SIGTERM, SIGINT, two at once, the health check
mod surroundings; // no rights, no room, no `/tmp`, few files: what the program finds around it

pub(crate) const MONDAY: &str = "20260202000000";
const TUESDAY: &str = "20260203000000";
const WEDNESDAY: &str = "20260204000000";

/// `event_history_<digits>.json.zip`.
pub(crate) fn name_of(digits: &str) -> String {
    format!("event_history_{digits}.json.zip")
}

/// A feed of so many events, their ids beginning with `tag`.
pub(crate) fn feed(tag: &str, count: usize) -> String {
    let entries: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"event":"Purchase","id":"{tag}-{n}"}}"#))
        .collect();
    format!("[{}]", entries.join(","))
}

/// An archive that is not small on the wire: so many kilobytes, in events of one each.
pub(crate) fn large_archive(digits: &str, tag: &str, kilobytes: usize) -> Vec<u8> {
    let noise = "x".repeat(1000);
    let entries: Vec<String> = (0..kilobytes)
        .map(|n| format!(r#"{{"event":"Purchase","id":"{tag}-{n}","note":"{noise}"}}"#))
        .collect();
    let feed = format!("[{}]", entries.join(","));
    let member = format!("event_history_{digits}.json");
    Archive::empty()
        .packed(Method::Stored, &member, feed.as_bytes())
        .bytes()
}

/// Puts an archive into a directory, whole and at once, and returns its name.
fn drop_into(root: &Path, digits: &str, feed: &str) -> String {
    let (name, bytes) = Archive::feed(digits, feed);
    put(root, &name, &bytes);
    name
}

/// Puts a file into a directory, whole and at once.
fn put(root: &Path, name: &str, bytes: &[u8]) {
    let beside = root.join(".being-written");
    fs::write(&beside, bytes).expect("writing an upload");
    fs::rename(beside, root.join(name)).expect("putting an upload into place");
}

/// A gate with one source over `sshd` and a database of events.
pub(crate) fn gate_over(sshd: &Sshd) -> Gate {
    let mut gate = Gate::new();
    gate.source_toml("acme", &sshd.toml());
    gate.destination_sqlite("events");
    gate
}

/// A gate with one source over the scripted far end and a database of events.
pub(crate) fn gate_over_far(far: &FarEnd, keys: &str) -> Gate {
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}{keys}", keys_of(far)));
    gate.destination_sqlite("events");
    gate
}

/// The keys of a `[[source]]` that lead to the far end.
pub(crate) fn keys_of(far: &FarEnd) -> String {
    format!(
        "url = {:?}\nprivate_key_file = {:?}\nhost_key = {:?}\n",
        far.url(),
        far.key_file(),
        far.host_key()
    )
}

/// The user ids in the database `events`, sorted; none while there is no such table.
pub(crate) fn delivered(gate: &Gate) -> Vec<String> {
    let events = gate.state_dir().join("events.db");
    if !events.exists() {
        return Vec::new();
    }
    let events = Connection::open(events).expect("a database");
    events.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    let Ok(mut select) = events.prepare("SELECT user_id FROM events ORDER BY user_id") else {
        return Vec::new();
    };
    let ids = select.query_map([], |row| row.get(0)).expect("rows");
    ids.collect::<Result<_, _>>().expect("rows")
}

/// Waits until so many events are delivered, and returns their user ids.
pub(crate) fn wait_for_events(gate: &Gate, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    wait_until(&format!("{count} events"), || {
        ids = delivered(gate);
        ids.len() >= count
    });
    ids
}

/// What `status` says of a source; null while it says nothing.
pub(crate) fn source_status(gate: &Gate, name: &str) -> Value {
    if !gate.ledger().exists() {
        return Value::Null;
    }
    let sources = gate.status()["sources"].as_array().cloned().unwrap_or_default();
    sources
        .into_iter()
        .find(|source| source["name"] == name)
        .unwrap_or_default()
}

/// Waits until a source is in trouble, and returns what `status` says of it.
pub(crate) fn wait_for_trouble(gate: &Gate, name: &str) -> Value {
    let mut source = Value::Null;
    wait_until(&format!("{name} in trouble"), || {
        source = source_status(gate, name);
        source["trouble"].is_string()
    });
    source
}

/// Waits until a source is well.
fn wait_for_recovery(gate: &Gate, name: &str) {
    wait_until(&format!("{name} well again"), || {
        let source = source_status(gate, name);
        source["trouble"].is_null() && source["listed_at"].is_string()
    });
}

/// Waits until an archive's last import has this disposition, and returns the import.
pub(crate) fn wait_for_disposition(gate: &Gate, archive: &str, disposition: &str) -> Value {
    let mut found = Value::Null;
    wait_until(&format!("{archive} {disposition}"), || {
        found = imports_of(gate, archive).pop().unwrap_or_default();
        found["disposition"] == disposition
    });
    found
}

/// All imports of an archive, oldest first.
pub(crate) fn imports_of(gate: &Gate, archive: &str) -> Vec<Value> {
    if !gate.ledger().exists() {
        return Vec::new();
    }
    let mut imports = gate.status()["imports"].as_array().cloned().unwrap_or_default();
    imports.retain(|import| import["archive"] == archive);
    imports
}

/// The lines of `imports.jsonl` of this kind, of a source.
pub(crate) fn log_lines(gate: &Gate, kind: &str, source: &str) -> Vec<Value> {
    let text = fs::read_to_string(gate.state_dir().join("imports.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines
        .filter(|line| line["kind"] == kind && line["source"] == source)
        .collect()
}

/// The names of the regular files in a directory, sorted; none if it is not there.
pub(crate) fn files(dir: &Path) -> Vec<String> {
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

/// The spool holds what imports refer to, and nothing else; also while the daemon runs.
pub(crate) fn assert_spool_is_tidy(gate: &Gate) {
    let ledger = Connection::open(gate.ledger()).expect("the ledger");
    let mut select = ledger
        .prepare("SELECT DISTINCT spool_file FROM imports WHERE spool_file IS NOT NULL ORDER BY 1")
        .expect("a question");
    let referred = select.query_map([], |row| row.get(0)).expect("rows");
    let referred: Vec<String> = referred.collect::<Result<_, _>>().expect("rows");
    assert_eq!(files(&gate.state_dir().join("spool")), referred);
}
