//! Every rule of entries, and the reader against serde_json.
//!
//! The fixtures are small files a partner might send (`fixtures/feeds/README.md` says what is odd about each); the oracle
//! for syntax is serde_json's `RawValue`, with a UTF-8 check and the depth rule beside it, since it looks at neither.

use std::fmt::Write as _;
use std::io::{self, Read};

use feedgate::feed::{DuplicateKeys, Options, Stop, Verdict, Walk, extract, judge};
use feedgate::verdict::{RejectCode, Violation, ViolationCode};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn options() -> Options {
    Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Reject,
        entry_bytes_max: 16 << 20,
        depth_max: 128,
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/feeds/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// Everything a feed comes to, in readable lines.
fn summary(read: impl Read, options: &Options) -> String {
    let mut out = String::new();
    let mut walk = Walk::new(read, options);
    loop {
        match walk.next() {
            Ok(Some(entry)) => match judge(&entry, options) {
                Verdict::Accepted(event, warnings) => {
                    assert_eq!(extract(&entry, options), event, "extract gives what judge gave");
                    writeln!(out, "{} accepted", entry.index).unwrap();
                    for warning in warnings {
                        writeln!(out, "  {} {} {}", warning.code, warning.pointer, warning.message).unwrap();
                    }
                }
                Verdict::Rejected(reject) => {
                    let at = reject.at;
                    writeln!(
                        out,
                        "{} rejected at {}:{} byte {}",
                        reject.index, at.line, at.column, at.byte
                    )
                    .unwrap();
                    for reason in reject.reasons {
                        let at = reason.at;
                        let pointer = reason.pointer;
                        writeln!(
                            out,
                            "  {} {pointer} at {}:{}: {}",
                            reason.code, at.line, at.column, reason.message
                        )
                        .unwrap();
                    }
                    writeln!(out, "  {}", reject.excerpt).unwrap();
                }
            },
            Ok(None) => return out,
            Err(Stop::Fault(fault)) => {
                let at = fault.at.expect("a fault of the data has a place");
                let entry = fault.entry.map_or(String::new(), |entry| format!(" in entry {entry}"));
                writeln!(
                    out,
                    "{} at {}:{} byte {}{entry}",
                    fault.code, at.line, at.column, at.byte
                )
                .unwrap();
                writeln!(out, "  {}", fault.detail).unwrap();
                if let Some(excerpt) = fault.excerpt {
                    writeln!(out, "  {excerpt}").unwrap();
                }
                return out;
            }
            Err(Stop::Read(error)) => panic!("reading: {error}"),
        }
    }
}

#[test]
fn show() {
    let mut names: Vec<_> = std::fs::read_dir("fixtures/feeds")
        .unwrap()
        .map(|f| f.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let Some(name) = name.strip_suffix(".json") else {
            continue;
        };
        eprintln!("=== {name}\n{}", summary(&fixture(name)[..], &options()));
    }
}
