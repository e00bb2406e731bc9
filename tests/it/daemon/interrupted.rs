//! Told to end at every stage: `run` and `once` end soon, there is nothing to repair, and the next pass finishes what is left.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::*;
use crate::house::far_end::{Fault, Op};
use crate::house::gate::{Daemon, Output};
use crate::house::http_server::{HttpServer, Script};

/// What a container is given before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Stages of a turn, by the request that is never answered, and how many of its kind are answered before it.
const STAGES: [(&str, Op, usize); 8] = [
    ("in the handshake of SFTP", Op::Init, 1),
    ("listing", Op::OpenDir, 1),
    ("reading names", Op::ReadDir, 1),
    ("opening an archive", Op::Open, 1),
    ("reading an archive", Op::Read, 1),
    ("looking at it before the rename", Op::Stat, 2),
    ("writing the receipt", Op::Write, 1),
    ("renaming", Op::Rename, 1),
];

fn told_to_end(daemon: Daemon) -> Output {
    let told = Instant::now();
    daemon.signal("TERM");
    let ended = daemon.wait_for_end();
    assert!(told.elapsed() < GRACE, "{:?}: {ended}", told.elapsed());
    ended
}

#[test]
fn run_and_once_end_soon_whatever_the_server_keeps_them_waiting_for() {
    std::thread::scope(|scope| {
        for (stage, op, nth) in STAGES {
            scope.spawn(move || {
                for command in ["run", "once"] {
                    let far = FarEnd::start();
                    let gate = gate_over_far(&far, "");
                    far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 3)).1);
                    far.on(op, nth, Fault::Stall);
                    let daemon = gate.start_command(command);
                    wait_until(stage, || far.count(op) >= nth);
                    let ended = told_to_end(daemon);
                    // A pass that was not made to its end wants attention; a daemon that was told to end did what it was told.
                    assert_eq!(ended.code, i32::from(command == "once"), "{command}, {stage}: {ended}");

                    far.forget();
                    let once = gate.once();
                    assert_eq!(once.code, 0, "{command}, {stage}: {once}");
                    assert_eq!(delivered(&gate), ["a-0", "a-1", "a-2"], "{command}, {stage}");
                    assert_eq!(far.names("processed"), [name_of(MONDAY)], "{command}, {stage}");
                    assert_spool_is_tidy(&gate);
                }
            });
        }
    });
}

#[test]
fn a_host_that_takes_the_call_and_says_nothing_holds_up_no_end() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead.local_addr().unwrap().port();
    for (command, code) in [("run", 0), ("once", 1)] {
        let mut gate = Gate::new();
        gate.variable("PASSWORD", "secret");
        gate.source_toml(
            "acme",
            &format!("url = \"sftp://acme@127.0.0.1:{port}\"\npassword_env = \"PASSWORD\"\nhost_key = \"SHA256:UT2FjmbljxQiFoZUOE6dALa8AGRiApvT1pq/u7Es/EY\""),
        );
        let daemon = gate.start_command(command);
        let _call = dead.accept().unwrap();
        let ended = told_to_end(daemon);
        assert_eq!(ended.code, code, "{command}: {ended}");
    }
}

#[test]
fn once_ends_soon_while_a_receiver_keeps_it_waiting_and_sends_the_same_again() {
    let server = HttpServer::start();
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination(
        "crm",
        &format!("type = \"http\"\nurl = \"{}\"\nstart = \"oldest\"", server.url()),
    );
    drop_into(&root, MONDAY, &feed("a", 3));
    server.next(Script::Stall { store: true });
    let once = gate.start_command("once");
    server.wait_for_stalled(1);
    let ended = told_to_end(once);
    assert_eq!(ended.code, 1, "{ended}");
    assert!(
        ended.stderr.contains("told to stop before the pass was done"),
        "{ended}"
    );
    assert_eq!(gate.once().code, 0);
    let bodies: Vec<String> = server
        .stored()
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn told_twice_it_does_not_wait() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    far.always(Op::OpenDir, Fault::Stall);
    let daemon = gate.run();
    wait_until("the listing", || far.count(Op::OpenDir) >= 1);
    daemon.signal("TERM");
    daemon.wait_for_log("stopping");
    daemon.signal("INT");
    let ended = daemon.wait_for_end();
    assert_eq!(ended.code, 2, "{ended}");
    far.forget();
    assert_eq!(gate.once().code, 0);
}

#[test]
fn a_ledger_that_somebody_holds_keeps_neither_the_start_nor_the_end_waiting() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    let daemon = gate.run();
    wait_for_recovery(&gate, "acme");
    let holder = Connection::open(gate.ledger()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    drop_into(&root, MONDAY, &feed("a", 3));
    // It comes upon the archive, and waits for leave to write.
    std::thread::sleep(Duration::from_millis(500));
    let ended = told_to_end(daemon);
    assert_eq!(ended.code, 0, "{ended}");

    for (command, code) in [("run", 0), ("once", 1)] {
        let starting = gate.start_command(command);
        std::thread::sleep(Duration::from_millis(500));
        let ended = told_to_end(starting);
        assert_eq!(ended.code, code, "{command}: {ended}");
    }

    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(gate.once().code, 0);
    assert_eq!(delivered(&gate), ["a-0", "a-1", "a-2"]);
}

#[test]
fn hangups_in_a_burst_are_one_look_at_the_configuration() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    let daemon = gate.run();
    for _ in 0..30 {
        daemon.signal("HUP");
    }
    daemon.wait_for_log("the configuration has not changed");
    drop_into(&root, MONDAY, &feed("a", 1));
    assert_eq!(wait_for_events(&gate, 1), ["a-0"]);
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    let looks = ended.stderr.matches("the configuration has not changed").count();
    assert!(looks <= 5, "{looks} looks: {ended}");
}

#[test]
fn stopped_for_longer_than_every_deadline_it_goes_on() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "timeout = \"1s\"\n");
    let daemon = gate.run();
    wait_for_recovery(&gate, "acme");
    daemon.signal("STOP");
    far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 2)).1);
    std::thread::sleep(Duration::from_secs(3));
    daemon.signal("CONT");
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "a-1"]);
    wait_for_recovery(&gate, "acme");
    assert_eq!(told_to_end(daemon).code, 0);
}

#[test]
fn a_last_word_that_nobody_can_hear_changes_no_exit_code() {
    let gate = Gate::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let complaint = gate.command().args(["status"]).stderr(full()).status().unwrap();
    assert_eq!(complaint.code(), Some(2));
    let results = gate
        .command()
        .args(["completions", "bash"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(results.status.code(), Some(2), "{results:?}");
}
