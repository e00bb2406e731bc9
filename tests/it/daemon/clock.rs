//! A clock that somebody sets: back and forward, between two passes and under a daemon that runs.
//!
//! The clock is `libfaketime`'s, from Debian's package; it changes what the program reads, and no clock of the machine.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::house::far_end::{Fault, Op, StatusCode};
use crate::house::http_server::{HttpServer, Script};

/// A clock for the commands of one gate.
struct FakeClock(std::path::PathBuf);

impl FakeClock {
    /// `None`, and said, where there is no `faketime`.
    #[expect(
        clippy::print_stdout,
        reason = "whoever reads the test's output must not think that it was tried"
    )]
    fn over(gate: &mut Gate) -> Option<FakeClock> {
        let library = Command::new("faketime")
            .args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"])
            .output();
        let Ok(library) = library else {
            println!("NOT TRIED: there is no `faketime` here, so nothing is known of clocks that are set");
            return None;
        };
        let file = gate.dir().join("clock");
        for (name, value) in [
            ("LD_PRELOAD", String::from_utf8_lossy(&library.stdout).trim()),
            ("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ] {
            gate.variable(name, value);
        }
        let clock = FakeClock(file);
        clock.set("+0");
        Some(clock)
    }

    /// Sets it: `+0`, `-1y`, `+400d`. At one stroke: a clock is never half set.
    fn set(&self, offset: &str) {
        let target = self.0.with_extension(offset);
        fs::write(&target, offset).expect("writing the time");
        let beside = self.0.with_extension("beside");
        symlink(&target, &beside).expect("a link");
        fs::rename(&beside, &self.0).expect("setting the clock");
    }
}

fn local_gate() -> (Gate, std::path::PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    (gate, root)
}

#[test]
fn set_forward_by_years_between_two_passes_nothing_leaves_the_spool_for_that() {
    let (mut gate, root) = local_gate();
    // Nobody listens there: it has had nothing yet.
    gate.destination(
        "crm",
        "type = \"http\"\nurl = \"http://127.0.0.1:9/in\"\nstart = \"oldest\"",
    );
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    drop_into(&root, MONDAY, &feed("a", 3));
    assert_eq!(gate.once().code, 1);
    clock.set("+2y");
    let once = gate.once();
    assert!(once.stderr.contains("the clock has gone ahead"), "{once}");
    clock.set("+0");
    gate.once();
    assert_eq!(gate.events().len(), 3);
    assert_eq!(files(&gate.state_dir().join("spool")).len(), 1);
}

#[test]
fn set_forward_under_a_daemon_nothing_leaves_the_spool_for_that() {
    let (mut gate, root) = local_gate();
    gate.destination_sqlite("events");
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 3));
    wait_for_events(&gate, 3);
    clock.set("+2y");
    // The first look for what may leave the spool comes some seconds after the start.
    daemon.wait_for_log("the clock has gone ahead");
    assert_eq!(gate.events().len(), 3);
    clock.set("+0");
    drop_into(&root, TUESDAY, &feed("b", 1));
    wait_for_events(&gate, 4);
    assert_eq!(daemon.stop().code, 0);
    assert_eq!(gate.events().len(), 4);
}

#[test]
fn set_back_by_a_year_no_file_waits_for_the_year_after() {
    let far = FarEnd::start();
    let mut gate = gate_over_far(&far, "incomplete_grace = \"10m\"\n");
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    let (name, whole) = Archive::feed(MONDAY, &feed("a", 2));
    // One was seen before the clock went wrong, could not be read while it was, and has not changed since.
    far.upload(&name, &whole);
    far.always(Op::Open, Fault::Answer(StatusCode::PermissionDenied));
    assert!(gate.once().code < 2);
    clock.set("+1y");
    Connection::open(gate.ledger())
        .unwrap()
        .execute("UPDATE listed SET look_at = NULL", [])
        .unwrap();
    assert!(gate.once().code < 2);
    far.forget();
    clock.set("+0");
    assert_eq!(gate.once().code, 0);
    assert_eq!(delivered(&gate), ["a-0", "a-1"]);
    assert_eq!(far.names("processed"), [name]);
}

#[test]
fn set_back_by_a_year_no_rename_waits_for_the_year_after() {
    let far = FarEnd::start();
    let mut gate = gate_over_far(&far, "");
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 2)).1);
    for rename in [Op::Rename, Op::PosixRename] {
        far.always(rename, Fault::Answer(StatusCode::PermissionDenied));
    }
    clock.set("+1y");
    assert_eq!(gate.once().code, 1);
    assert_eq!(gate.import(&name_of(MONDAY))["disposition"], "pending");
    far.forget();
    clock.set("+0");
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.import(&name_of(MONDAY))["disposition"], "moved");
}

#[test]
fn set_back_by_a_year_while_a_destination_waits_it_is_tried_again_all_the_same() {
    let server = HttpServer::start();
    let (mut gate, root) = local_gate();
    gate.destination(
        "crm",
        &format!("type = \"http\"\nurl = \"{}\"\nstart = \"oldest\"", server.url()),
    );
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    server.next(Script::status(503).with_header("Retry-After", "4"));
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 3));
    server.wait_for_requests(1);
    clock.set("-1y");
    server.wait_for_requests(2);
    wait_until("the delivery", || server.stored().len() == 1);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn what_a_receiver_asked_for_is_not_kept_to_for_a_year_either() {
    let server = HttpServer::start();
    let (mut gate, root) = local_gate();
    gate.destination(
        "crm",
        &format!("type = \"http\"\nurl = \"{}\"\nstart = \"oldest\"", server.url()),
    );
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    clock.set("+1y");
    server.next(Script::status(503).with_header("Retry-After", "3600"));
    drop_into(&root, MONDAY, &feed("a", 3));
    assert_eq!(gate.once().code, 1);
    // An hour is not over, and is kept to.
    assert_eq!(gate.once().code, 1);
    assert_eq!(server.requests().len(), 1);
    clock.set("+0");
    let once = gate.once();
    assert_eq!((once.code, server.stored().len()), (0, 1), "{once}");
}

#[test]
fn a_dead_daemon_does_not_look_alive_since_the_clock_was_set_back() {
    let (mut gate, _) = local_gate();
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    let daemon = gate.run();
    assert_eq!(gate.cli(["status", "--health"]).code, 0);
    daemon.kill();
    clock.set("-1d");
    let health = gate.cli(["status", "--health"]);
    assert_eq!(health.code, 1, "{health}");
}

#[test]
fn order_does_not_hang_on_the_clock_and_nothing_is_younger_than_now() {
    let (mut gate, root) = local_gate();
    gate.destination_sqlite("events");
    let Some(clock) = FakeClock::over(&mut gate) else {
        return;
    };
    for (digits, offset) in [(MONDAY, "+1y"), (TUESDAY, "-1y"), (WEDNESDAY, "+0")] {
        clock.set(offset);
        drop_into(&root, digits, &feed(digits, 1));
        let once = gate.once();
        assert_eq!(once.code, 0, "{once}");
    }
    clock.set("-2y");
    let status = gate.cli(["status"]);
    assert_eq!(status.code, 0, "{status}");
    assert!(!status.stdout.contains(" -"), "{status}");
    let order: Vec<String> = gate
        .events()
        .iter()
        .map(|event| event["archive"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order, [MONDAY, TUESDAY, WEDNESDAY].map(name_of));
    assert_eq!(delivered(&gate).len(), 3);
}
