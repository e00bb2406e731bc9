//! The demo's words: pure functions from findings to text.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::text::{point, quoted, wrapped};

use crate::cli::args::DemoArgs;
use crate::demo::findings::{Finding, Import};
use crate::demo::samples::{Expect, WITH_REJECTS};
use crate::demo::world::{LOG, PARTNER, World};
use crate::telemetry::escaped;

pub(super) fn heading(text: &str, bold: bool) -> String {
    match bold {
        true => format!("\n\x1b[1m{text}\x1b[0m\n\n"),
        false => format!("\n{text}\n{}\n\n", "-".repeat(text.chars().count())),
    }
}

pub(super) fn opening(world: &World, files: usize) -> String {
    format!(
        "A partner's SFTP account, Feedgate, and {files} files good and bad: all of it on this machine.\n\
         \n\
         \x20 server  {addr}, host key {host_key}\n\
         \x20 daemon  process {daemon}: the real one, looking every half second, over SFTP, with a key\n\
         \x20 world   {dir}\n\n",
        addr = world.server().addr(),
        host_key = world.server().host_key_fingerprint(),
        daemon = world.daemon_id(),
        dir = world.dir().display(),
    )
}

pub(super) fn table(findings: &[Finding]) -> String {
    let mut text = format!(
        "{:<47}{:<11}{:>7} {:>8} {:>8}  now\n",
        "archive", "status", "entries", "imported", "rejected"
    );
    for (sample, import) in findings {
        match import {
            Some(import) => text.push_str(&row(import)),
            None => writeln!(text, "{:<47}{:<38}as it was", sample.name, "left alone").expect(FITS),
        }
        for line in wrapped(sample.about) {
            writeln!(text, "    {line}").expect(FITS);
        }
    }
    text
}

/// Writing into a `String` does not fail.
const FITS: &str = "a string takes any text";

fn row(import: &Import) -> String {
    let now = match import.path.rsplit_once('/') {
        Some((dir, _)) => format!("{dir}/"),
        None => "left in place".to_owned(),
    };
    let codes = import.violations.iter().map(|violation| violation.code.as_str());
    // The status says it already.
    let flags = import
        .flags
        .iter()
        .map(String::as_str)
        .filter(|flag| *flag != import.status);
    let said: Vec<&str> = codes.chain(flags).collect();
    format!(
        "{:<47}{:<11}{:>7} {:>8} {:>8}  {now}{}{}\n",
        escaped(&import.archive),
        import.status,
        import.entries,
        import.accepted,
        import.rejected,
        if said.is_empty() { "" } else { ": " },
        said.join(", "),
    )
}

/// One import in a line, for those who stay.
pub(super) fn line(import: &Import) -> String {
    let mut text = row(import);
    for violation in &import.violations {
        writeln!(text, "    {}: {}", violation.code, escaped(&violation.detail)).expect(FITS);
    }
    text
}

/// What of a receipt tells the story: without times, hashes and sizes, and of the rejects the first two.
pub(super) fn receipt_excerpt(archive: &str, receipt: &Value) -> String {
    let rejects = receipt["rejects"].as_array().map_or(&[][..], Vec::as_slice);
    let shown = &rejects[..rejects.len().min(2)];
    let codes: Vec<&str> = shown.iter().map(|reject| string(reject, "code")).collect();
    let mut excerpt = only(
        receipt,
        &[
            "note", "archive", "status", "summary", "entries", "accepted", "rejected",
        ],
    );
    let keys = ["index", "line", "column", "code", "pointer", "message", "excerpt"];
    let rejects = shown.iter().map(|reject| Value::Object(only(reject, &keys))).collect();
    excerpt.insert("rejects".to_owned(), rejects);
    excerpt.insert(
        "how_to_fix".to_owned(),
        Value::Object(only(&receipt["how_to_fix"], &codes)),
    );
    let pretty = serde_json::to_string_pretty(&excerpt).expect("values print");
    let mut text = format!("receipts/{archive}.receipt.json, in excerpt:\n\n");
    for line in pretty.lines() {
        writeln!(text, "  {line}").expect(FITS);
    }
    text
}

/// An object with only some of its keys.
fn only(value: &Value, keys: &[&str]) -> Map<String, Value> {
    let kept = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), value.get(key)?.clone())));
    kept.collect()
}

pub(super) fn vendor(as_printed: &Value, comma_mended: &Value) -> String {
    let mut text = String::from("As the help page prints it:\n\n");
    text.push_str(&explained(as_printed));
    text.push_str("\nWith the missing comma put in:\n\n");
    text.push_str(&explained(comma_mended));
    text
}

/// What a receipt says, and where, and what to do.
fn explained(receipt: &Value) -> String {
    let mut text = point(string(receipt, "summary"));
    let list = |key: &str| receipt[key].as_array().cloned().unwrap_or_default();
    for violation in list("violations") {
        let place = match (&violation["line"], &violation["column"]) {
            (Value::Number(line), Value::Number(column)) => format!(", line {line}, column {column}"),
            _ => String::new(),
        };
        text.push_str(&point(&format!(
            "{}{place}: {}",
            string(&violation, "code"),
            string(&violation, "detail")
        )));
        if let Some(excerpt) = violation["excerpt"].as_str() {
            text.push_str(&point(excerpt));
        }
    }
    for reject in list("rejects") {
        let (line, column) = (&reject["line"], &reject["column"]);
        let message = string(&reject, "message");
        text.push_str(&point(&format!(
            "{}, entry at line {line}, column {column}: {message}",
            string(&reject, "code")
        )));
    }
    for fix in receipt["how_to_fix"].as_object().into_iter().flat_map(Map::values) {
        text.push_str(&point(&format!("→ {}", fix.as_str().unwrap_or_default())));
    }
    text
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A few of the events, as they come: each line is JSON, for whoever wants to copy one.
pub(super) fn events(ndjson: &[u8], shown: usize) -> String {
    let all = String::from_utf8_lossy(ndjson);
    let lines: Vec<&str> = all.lines().collect();
    // Evenly from all over, so that not all are of the same kind.
    let step = (lines.len() / shown.max(1)).max(1);
    let mut text = String::new();
    for line in lines.iter().skip(step / 2).step_by(step).take(shown) {
        writeln!(text, "{}\n", escaped(line)).expect(FITS);
    }
    writeln!(text, "… {} in all", lines.len()).expect(FITS);
    text
}

pub(super) fn rows(counts: &[(String, u64)]) -> String {
    let mut text = String::from("  SELECT event, count(*) FROM events GROUP BY event;\n\n");
    for (event, count) in counts {
        writeln!(text, "  {count:>6}  {event}").expect(FITS);
    }
    text
}

/// A directory of the partner's account, with at most so many names.
pub(super) fn listing(dir: &str, names: &[String], shown: usize) -> String {
    let mut text = match dir {
        "." => "/\n".to_owned(),
        dir => format!("/{dir}/\n"),
    };
    for name in names.iter().take(shown) {
        writeln!(text, "    {}", escaped(name)).expect(FITS);
    }
    if names.len() > shown {
        writeln!(text, "    … and {} more", names.len() - shown).expect(FITS);
    }
    text
}

/// A sample that did not come out as it says.
pub(super) fn complaint((sample, _): &Finding, complaint: String) -> String {
    let place = match sample.expect {
        Expect::Ignored => "a file to leave alone",
        Expect::Judged { .. } => "an archive",
    };
    format!("`{}` ({place}) {complaint}", sample.name)
}

pub(super) fn verdict(files: usize, complaints: &[String]) -> String {
    if complaints.is_empty() {
        return format!(
            "All {files} files came to what they should: nothing lost, nothing twice, everything explained.\n"
        );
    }
    let mut text = format!(
        "{} of {files} files did not come to what they should:\n\n",
        complaints.len()
    );
    for complaint in complaints {
        text.push_str(&point(complaint));
    }
    text
}

pub(super) fn how_to_look(world: &World, args: &DemoArgs) -> String {
    let path = |name: &str| quoted(&world.path(name).to_string_lossy());
    let (feedgate, config) = (this_program(), path("feedgate.toml"));
    let mut text = String::new();
    if args.stay {
        let port = world.server().addr().port();
        let (key, known_hosts) = (path("key"), path("known_hosts"));
        write!(
            text,
            "Server and daemon stay until Ctrl-C. Drop files of your own, from another terminal:\n\n\
             \x20 sftp -P {port} -i {key} -o UserKnownHostsFile={known_hosts} {PARTNER}@127.0.0.1\n\n\
             \x20 or with any client: 127.0.0.1, port {port}, user {PARTNER}, password {}\n\n",
            world.password(),
        )
        .expect(FITS);
    }
    if args.stay || args.keep.is_some() {
        write!(
            text,
            "To look around:\n\n\
             \x20 {feedgate} status -c {config}\n\
             \x20 {feedgate} status -c {config} {WITH_REJECTS}\n\
             \x20 {feedgate} events -c {config} --event 'Placed Order'\n\
             \x20 sqlite3 {events} \"SELECT * FROM events LIMIT 5\"\n\
             \x20 less {log}\n\n",
            events = path("events.db"),
            log = path(LOG),
        )
        .expect(FITS);
    }
    text.push_str(match (&args.keep, args.stay) {
        (Some(_), true) => "After that, everything stays where it is to be looked at.\n",
        (Some(_), false) => "Server and daemon are ended now; everything else stays where it is.\n",
        (None, true) => "After that, everything is removed.\n",
        (None, false) => {
            "Everything is removed now. `feedgate demo --keep DIR` leaves it to look at; `feedgate demo --stay` keeps it\n\
             running, to drop files of your own.\n"
        }
    });
    text
}

/// This program as it was called, so that what is printed can be typed.
fn this_program() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| "feedgate".into());
    quoted(&called.to_string_lossy())
}
