//! Entries of about the size that is allowed: valid, so that they are delivered, and the memory they take is looked at.
//!
//! Not by SQLite: it has a row three times while it writes it (bound, as a record, as pages), and no say of ours changes that.

use std::fs;

use super::{PEAK_BYTES_MAX, UNOPTIMISED_BYTES, measured, peak, tell};
use crate::house::archives::{Archive, Method};
use crate::house::gate::{Gate, wait_until};

/// Just below the limit of 16 MiB.
const ENTRY_BYTES: usize = 15 << 20;

/// A compressor has its window besides.
const FILE_PEAK_BYTES_MAX: u64 = (72 << 20) + UNOPTIMISED_BYTES;

const ENTRIES: usize = 4;

/// A gate whose partner sends four entries of 15 MiB each.
fn gate() -> Gate {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir_all(&root).expect("a directory");
    let entries: Vec<String> = (0..ENTRIES)
        .map(|id| {
            let text: String = std::iter::repeat_with(fastrand::alphanumeric).take(1 << 16).collect();
            format!(
                "{{\"event\":\"large\",\"id\":\"{id}\",\"x\":\"{}\"}}",
                text.repeat(ENTRY_BYTES >> 16)
            )
        })
        .collect();
    let data = format!("[{}]", entries.join(","));
    let member = "event_history_20200101000000.json";
    let zip = Archive::empty().packed(Method::Zstd, member, data.as_bytes()).bytes();
    fs::write(root.join(format!("{member}.zip")), zip).expect("writing an archive");
    gate.source_local("partner", &root);
    gate
}

/// The peak of the daemon that delivers them to a destination of these keys.
fn peak_of(keys: &str, is_done: impl Fn(&Gate, &str) -> bool) -> u64 {
    let mut gate = gate();
    gate.destination("all", keys);
    let daemon = gate.run();
    wait_until("the delivery of all", || is_done(&gate, &daemon.stdout()));
    let highest = peak(daemon.id()).expect("it runs");
    tell(&format!("{keys:?}"), highest);
    daemon.stop();
    highest
}

fn is_idle(gate: &Gate, _: &str) -> bool {
    let destinations = &gate.status()["destinations"];
    destinations[0]["delivered"] == ENTRIES && destinations[0]["state"] == "idle"
}

#[test]
fn large_entries_are_printed_and_put_into_files() {
    let lines = |_: &Gate, printed: &str| printed.lines().filter(|line| line.contains("\"large\"")).count() == ENTRIES;
    let highest = peak_of("type = \"console\"\nstart = \"oldest\"", lines);
    assert!(highest < PEAK_BYTES_MAX, "console: {highest} bytes");
    let highest = peak_of("type = \"file\"\npath = \"files\"", is_idle);
    assert!(highest < FILE_PEAK_BYTES_MAX, "file: {highest} bytes");

    let gate = gate();
    assert_eq!(gate.once().code, 0);
    let (printed, highest) = measured(&gate, &["events".as_ref()]);
    assert_eq!(printed.lines().count(), ENTRIES);
    assert!(highest < PEAK_BYTES_MAX, "events: {highest} bytes");
}
