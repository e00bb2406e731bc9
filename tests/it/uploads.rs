//! Uploads racing the poll: real clients and every way to write a file, against the real daemon over a real `sshd`. Nothing is
//! read half, nothing is called failed while it grows, everything arrives once.
//!
//! The dice are seeded, and the seed is printed: `UPLOADS_SEED=…` throws the same sizes and waits again (what the machine does
//! in between is its own affair). `UPLOADS_ROUNDS=50` makes a long run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::daemon::{
    MONDAY, assert_spool_is_tidy, feed, files, gate_over, gate_over_far, imports_of, large_archive, log_lines, name_of,
    source_status, wait_for_disposition, wait_for_events,
};
use crate::house::archives::{Archive, Method};
use crate::house::far_end::FarEnd;
use crate::house::gate::{Gate, wait_until};
use crate::house::sshd::Sshd;

mod again; // the same name, while the first is being read or put away
mod clients; // sftp, scp, lftp, rclone, rsync, curl, paramiko: how each is called
mod crowd; // five hundred, from two clients at once
mod local; // written directly into a directory that is watched
mod names; // the names that uploads have until they are whole
mod out_of_order; // the zip's end first, the rest later, and the same time shown throughout
mod patterns; // slow, resumed, by pieces, allocated beforehand
mod races; // each client against the poll
mod times; // stalls, and clocks that say anything

/// The dice of a test, and how often it is to throw them.
#[allow(clippy::print_stdout, reason = "whoever repeats a failure needs the seed")]
fn dice() -> (fastrand::Rng, u64) {
    let number = |variable: &str, default: u64| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().expect("a number in the variable"))
    };
    let (seed, rounds) = (number("UPLOADS_SEED", fastrand::u64(..)), number("UPLOADS_ROUNDS", 1));
    println!("UPLOADS_SEED={seed} UPLOADS_ROUNDS={rounds}");
    (fastrand::Rng::with_seed(seed), rounds)
}

/// The digits of the minute with this number.
fn digits(number: usize) -> String {
    format!(
        "202603{:02}{:02}{:02}00",
        1 + number / 1440,
        number / 60 % 24,
        number % 60
    )
}

fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// 14 November 2023: what uploaders show that keep the times of their files.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// The statuses of an archive's imports, oldest first.
fn statuses(gate: &Gate, archive: &str) -> Vec<String> {
    let word = |import: &Value| import["status"].as_str().unwrap_or_default().to_owned();
    imports_of(gate, archive).iter().map(word).collect()
}
