//! Rooms that must not know each other, and habits of the house. Reads the sources as text.

use std::fs;
use std::path::{Path, PathBuf};

/// A room (a path below `src`), and what must not be named in it.
const NEVER_MEET: &[(&str, &[&str])] = &[
    (
        "archive",
        &[
            "crate::source",
            "crate::ledger",
            "crate::spool",
            "crate::config",
            "crate::intake",
            "tokio",
            "ssh2",
            "rusqlite",
            "Utc::now",
            "SystemTime",
        ],
    ),
    (
        "feed",
        &[
            "crate::source",
            "crate::ledger",
            "crate::spool",
            "crate::config",
            "crate::archive",
            "tokio",
            "ssh2",
            "rusqlite",
            "Utc::now",
            "SystemTime",
            "zip::",
        ],
    ),
    (
        "definition",
        &[
            "crate::source",
            "crate::ledger",
            "crate::spool",
            "crate::config",
            "crate::archive",
            "crate::intake",
            "tokio",
            "ssh2",
            "rusqlite",
            "Utc::now",
            "SystemTime",
            "zip::",
        ],
    ),
    (
        "source",
        &[
            "crate::ledger",
            "crate::archive",
            "crate::feed",
            "crate::spool",
            "crate::intake",
            "rusqlite",
            "zip::",
        ],
    ),
    (
        "ledger",
        &[
            "crate::source",
            "crate::intake",
            "crate::delivery",
            "crate::destination",
            "crate::people",
            "crate::config::load",
            "ssh2",
        ],
    ),
    (
        "destination",
        &["crate::source", "crate::intake", "crate::delivery", "tokio::time"],
    ),
    ("delivery", &["crate::source", "crate::intake", "crate::people", "ssh2"]),
    (
        "people",
        &[
            "crate::source",
            "crate::intake",
            "crate::delivery",
            "crate::destination",
            "rusqlite",
            "ssh2",
        ],
    ),
    ("intake", &["crate::delivery", "crate::destination", "rusqlite", "ssh2"]),
    (
        "unique",
        &[
            "crate::source",
            "crate::ledger",
            "crate::spool",
            "crate::config",
            "crate::archive",
            "crate::feed",
            "crate::definition",
            "crate::events",
            "crate::intake",
            "crate::destination",
            "crate::delivery",
            "ssh2",
            "zip::",
            "Utc::now",
            "SystemTime",
        ],
    ),
    ("verdict.rs", &["crate::"]),
];

/// Longest file, in lines without its tests. At 400 it is full; past that, look for the second noun.
const LINES_MAX: usize = 510;

fn sources(below: &Path) -> Vec<(PathBuf, String)> {
    if below.is_file() {
        return vec![(below.to_owned(), fs::read_to_string(below).unwrap())];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|ending| ending == "rs") {
            found.extend(sources(&path));
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of a file: no comments, and no tests, which may know everybody.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn rooms_that_must_not_know_each_other_do_not() {
    let mut met = Vec::new();
    for (room, strangers) in NEVER_MEET {
        for (path, text) in sources(&src().join(room)) {
            if path.ends_with("tests.rs") {
                continue;
            }
            let code = code(&text);
            let known = strangers.iter().filter(|stranger| code.contains(**stranger));
            met.extend(known.map(|stranger| format!("{} names `{stranger}`", path.display())));
        }
    }
    assert!(met.is_empty(), "{}", met.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    for (path, text) in sources(&src()) {
        assert!(text.starts_with("//!"), "{} has no module doc", path.display());
        let lines = match path.ends_with("tests.rs") {
            true => 0,
            false => text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default()
                .lines()
                .count(),
        };
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines: look for the second noun in it",
            path.display()
        );
    }
}

#[test]
fn the_flow_fits_on_a_screen() {
    let text = fs::read_to_string(src().join("intake/mod.rs")).unwrap();
    let turn = text
        .split("pub async fn turn(")
        .nth(1)
        .and_then(|rest| rest.split("\n    }\n").next())
        .unwrap();
    assert!(turn.lines().count() <= 30, "{turn}");
}

#[test]
fn the_main_file_is_a_door() {
    let text = fs::read_to_string(src().join("main.rs")).unwrap();
    assert!(text.lines().count() <= 40);
}
