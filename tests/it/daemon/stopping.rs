//! Told to end, killed, started twice, asked how it is.

use std::fs::File;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::house::far_end::{Fault, Op};
use crate::house::gate::{Daemon, Output};

/// Ends in about two seconds; the machine may be busy.
const SOON: Duration = Duration::from_secs(5);

fn ends_soon(daemon: Daemon, signal: &str) -> Output {
    let told = Instant::now();
    daemon.signal(signal);
    let ended = daemon.wait_for_end();
    assert!(told.elapsed() < SOON, "{:?}: {ended}", told.elapsed());
    assert_eq!(ended.code, 0, "{ended}");
    ended
}

#[test]
fn told_to_end_it_ends_soon_and_well() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    drop_into(sshd.root(), MONDAY, &feed("a", 2));
    for signal in ["TERM", "INT"] {
        let daemon = gate.run();
        wait_for_events(&gate, 2);
        let ended = ends_soon(daemon, signal);
        assert!(ended.stderr.contains("stopping"), "{ended}");
    }
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 1);
}

#[test]
fn told_to_end_in_the_middle_of_a_download_there_is_nothing_to_repair() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    far.upload(&name_of(MONDAY), &large_archive(MONDAY, "a", 3000));
    let path = format!("/{}", name_of(MONDAY));
    // The zip's end is read first, then the rest; the answers stop coming half-way.
    far.on_path(Op::Read, &path, 6, Fault::Stall);
    let daemon = gate.run();
    wait_until("the download", || {
        far.journal()
            .iter()
            .filter(|seen| seen.op == Op::Read && seen.path == path)
            .count()
            >= 6
    });
    ends_soon(daemon, "TERM");

    far.forget();
    assert_eq!(gate.once().code, 0);
    let import = gate.import(&name_of(MONDAY));
    assert_eq!(
        (import["status"].as_str(), import["accepted"].as_u64()),
        (Some("processed"), Some(3000))
    );
    assert_eq!(delivered(&gate).len(), 3000);
    assert_spool_is_tidy(&gate);
}

#[test]
fn told_to_end_while_a_large_archive_is_read_there_is_nothing_to_repair() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    put(sshd.root(), &name_of(MONDAY), &large_archive(MONDAY, "a", 30_000));
    let daemon = gate.run();
    wait_until("a claim", || !imports_of(&gate, &name_of(MONDAY)).is_empty());
    ends_soon(daemon, "TERM");

    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.import(&name_of(MONDAY))["status"], "processed");
    assert_eq!(delivered(&gate).len(), 30_000);
    assert_spool_is_tidy(&gate);
}

#[test]
fn a_second_one_is_refused_and_looking_is_not() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let good = drop_into(sshd.root(), MONDAY, &feed("a", 2));
    let failed = drop_into(sshd.root(), TUESDAY, "no feed");
    let daemon = gate.run();
    gate.wait_for_imports(2);
    wait_for_events(&gate, 2);

    let holder = format!("process {}", daemon.id());
    for command in ["run", "once"] {
        let refused = gate.cli([command]);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused}");
        assert!(
            refused.stderr.contains("another feedgate is using it (host "),
            "{refused}"
        );
        assert!(refused.stderr.contains(&holder), "{refused}");
    }

    assert_eq!(gate.import(&good)["status"], "processed");
    assert_eq!(gate.events().len(), 2);
    let check = gate.cli(["check"]);
    assert_eq!(check.code, 0, "{check}");
    let retried = gate.cli(["retry", &failed]);
    assert_eq!(retried.code, 0, "{retried}");
    wait_until("the daemon looks again", || imports_of(&gate, &failed).len() == 2);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn asked_how_it_is_it_tells_from_its_heartbeat() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let check = |code: i32, expect: &str| {
        let health = gate.cli(["status", "--health"]);
        assert_eq!(health.code, code, "{health}");
        assert!(health.stdout.contains(expect), "{health}");
    };
    check(1, "no daemon");
    let daemon = gate.run();
    check(0, "alive: last heartbeat");
    daemon.kill();
    // Two minutes later.
    let heartbeat = File::options()
        .write(true)
        .open(gate.state_dir().join("heartbeat"))
        .unwrap();
    heartbeat
        .set_modified(SystemTime::now() - Duration::from_secs(120))
        .unwrap();
    check(1, "not alive: last heartbeat 12");
    let daemon = gate.run();
    check(0, "alive");
    assert_eq!(daemon.stop().code, 0);
    check(1, "no daemon");
}

#[test]
fn a_log_or_a_console_that_nobody_reads_holds_up_neither_the_work_nor_the_end() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    std::fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination("console", "type = 'console'\nstart = 'oldest'");
    // More lines than a pipe holds, on stderr and on stdout.
    for second in 0..60 {
        for minute in 0..5 {
            let digits = format!("2024010100{minute:02}{second:02}");
            drop_into(&root, &digits, &feed(&digits, 20));
        }
    }
    let mut child = gate
        .command()
        .arg("run")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("everything imported while nobody reads", || {
        std::fs::read_dir(root.join("processed")).is_ok_and(|names| names.count() == 300)
    });
    let told = Instant::now();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    while child.try_wait().unwrap().is_none() {
        if told.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
