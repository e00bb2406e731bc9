//! The demo's words: pure functions from findings to text.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::Options;
use crate::demo::findings::{Finding, Import};
use crate::demo::samples::{Expect, WITH_REJECTS};
use crate::demo::world::{LOG, PARTNER, World};
use crate::telemetry::escaped;

/// Longest line that is printed of an event or of an excerpt, in characters.
const LINE_CHARS: usize = 118;

/// Names of a listing that are printed.
const NAMES_SHOWN: usize = 24;

pub(super) fn heading(text: &str, bold: bool) -> String {
    match bold {
        true => format!("\n\x1b[1m{text}\x1b[0m\n"),
        false => format!("\n{text}\n{}", "-".repeat(text.chars().count())),
    }
}

pub(super) fn opening(world: &World, files: usize) -> String {
    format!(
        "A partner's SFTP account, Feedgate, and {files} files good and bad: all of it on this machine.\n\
         \n\
         \x20 server  {addr}, host key {host_key}\n\
         \x20 daemon  process {daemon}: the real one, looking every half second, over SFTP, with a key\n\
         \x20 world   {dir}\n",
        addr = world.server().addr(),
        host_key = world.server().host_key_fingerprint(),
        daemon = world.daemon_id(),
        dir = world.path("").display(),
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
            None => writeln!(text, "{:<47}{:<38}{}", sample.name, "left alone", "as it was").expect(FITS),
        }
        for line in wrapped(sample.about, LINE_CHARS - 4) {
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
    let codes: Vec<&str> = import
        .violations
        .iter()
        .map(|violation| violation.code.as_str())
        .collect();
    let said = [codes, import.flags.iter().map(String::as_str).collect()]
        .concat()
        .join(", ");
    format!(
        "{:<47}{:<11}{:>7} {:>8} {:>8}  {now}{}{said}\n",
        escaped(&import.archive),
        import.status,
        import.entries,
        import.accepted,
        import.rejected,
        if said.is_empty() { "" } else { "; " },
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

/// What of a receipt tells the story. The rest is there too: times, hashes, sizes.
pub(super) fn receipt_excerpt(archive: &str, receipt: &Value) -> String {
    let mut excerpt = Map::new();
    for key in [
        "note", "archive", "status", "summary", "entries", "accepted", "rejected",
    ] {
        if let Some(value) = receipt.get(key) {
            excerpt.insert(key.to_owned(), value.clone());
        }
    }
    let rejects = receipt["rejects"].as_array().map_or(&[][..], Vec::as_slice);
    let shown = rejects.iter().take(3).map(|reject| {
        let keys = ["index", "line", "column", "code", "pointer", "message", "excerpt"];
        let of_interest = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), reject.get(key)?.clone())));
        Value::Object(of_interest.collect())
    });
    excerpt.insert("rejects".to_owned(), shown.collect());
    let mut text = format!("receipts/{archive}.receipt.json, in excerpt:\n\n");
    let pretty = serde_json::to_string_pretty(&excerpt).expect("values print");
    for line in pretty.lines() {
        writeln!(text, "  {}", shortened(line)).expect(FITS);
    }
    let fixes = receipt["how_to_fix"].as_object();
    if let Some(fixes) = fixes {
        text.push_str("\nand for every code in it, what to do (`how_to_fix`):\n\n");
        for (code, fix) in fixes {
            text.push_str(&point(&format!("{code}: {}", fix.as_str().unwrap_or_default())));
        }
    }
    text
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

pub(super) fn events(ndjson: &[u8], shown: usize) -> String {
    let all = String::from_utf8_lossy(ndjson);
    let mut text = String::new();
    // One of each few hundred, so that not all are of the same archive.
    let lines: Vec<&str> = all.lines().collect();
    let step = (lines.len() / shown.max(1)).max(1);
    for line in lines.iter().skip(step / 2).step_by(step).take(shown) {
        for part in wrapped_anywhere(line, LINE_CHARS) {
            writeln!(text, "  {part}").expect(FITS);
        }
    }
    writeln!(text, "\n  … {} in all", lines.len()).expect(FITS);
    text
}

pub(super) fn rows(counts: &[(String, u64)]) -> String {
    let mut text = String::from("  SELECT event, count(*) FROM events GROUP BY event;\n\n");
    for (event, count) in counts {
        writeln!(text, "  {count:>6}  {event}").expect(FITS);
    }
    text
}

pub(super) fn listing(dir: &str, names: &[String]) -> String {
    let mut text = match dir {
        "." => "/\n".to_owned(),
        dir => format!("/{dir}/\n"),
    };
    for name in names.iter().take(NAMES_SHOWN) {
        writeln!(text, "    {}", escaped(name)).expect(FITS);
    }
    if let Some(more) = names.len().checked_sub(NAMES_SHOWN).filter(|more| *more > 0) {
        writeln!(text, "    … and {more} more").expect(FITS);
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

pub(super) fn how_to_look(world: &World, options: &Options) -> String {
    let path = |name: &str| quoted(&world.path(name).to_string_lossy());
    let config = path("feedgate.toml");
    let mut text = String::new();
    if options.stay {
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
    if options.stay || options.keep.is_some() {
        write!(
            text,
            "To look around:\n\n\
             \x20 feedgate status -c {config}\n\
             \x20 feedgate status -c {config} {WITH_REJECTS}\n\
             \x20 feedgate events -c {config} --event 'Placed Order'\n\
             \x20 sqlite3 {events} \"SELECT * FROM events LIMIT 5\"\n\
             \x20 less {log}\n\n",
            events = path("events.db"),
            log = path(LOG),
        )
        .expect(FITS);
    }
    text.push_str(match (&options.keep, options.stay) {
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

/// For a shell, where it is needed.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    match path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// An indented paragraph.
fn point(text: &str) -> String {
    let mut lines = String::new();
    for line in wrapped(text, LINE_CHARS - 4) {
        writeln!(lines, "  {line}").expect(FITS);
    }
    lines
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Lines of at most so many characters, broken at blanks; a longer word has a line of its own.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Lines of exactly so many characters, but for the last.
fn wrapped_anywhere(text: &str, most: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(most).map(|line| line.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_where_they_may() {
        let check = |text: &str, most, expect: &[&str]| assert_eq!(wrapped(text, most), expect, "{text:?}");
        check("", 5, &[""]);
        check("one two", 7, &["one two"]);
        check("one two", 6, &["one", "two"]);
        check("unbreakable a", 4, &["unbreakable", "a"]);
        check("é é é", 3, &["é é", "é"]);
        assert_eq!(wrapped_anywhere("äöüß", 3), ["äöü", "ß"]);
        assert_eq!(shortened(&"ä".repeat(LINE_CHARS + 1)).chars().count(), LINE_CHARS + 1);
        assert_eq!(shortened(&"ä".repeat(LINE_CHARS)), "ä".repeat(LINE_CHARS));
    }

    #[test]
    fn a_path_is_safe_in_a_shell() {
        assert_eq!(quoted("/tmp/feedgate-demo-1"), "/tmp/feedgate-demo-1");
        assert_eq!(quoted("/tmp/my demo's"), "'/tmp/my demo'\\''s'");
        assert_eq!(quoted("/tmp/$(x)"), "'/tmp/$(x)'");
    }
}
