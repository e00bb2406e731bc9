//! The disk: archives leave the spool when their time is over; where there is no room, intake pauses and says so.

use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::house::small_disk::SmallDisk;

#[test]
fn what_is_delivered_leaves_the_spool_and_the_gap_is_named() {
    let sshd = Sshd::start();
    let mut gate = gate_over(&sshd);
    gate.section("[spool]\nretention = \"0s\"");
    let monday = drop_into(sshd.root(), MONDAY, &feed("a", 3));
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(delivered(&gate).len(), 3);
    assert_eq!(files(&gate.state_dir().join("spool")), Vec::<String>::new());
    let events = gate.cli(["events"]);
    assert_eq!((events.code, events.stdout.as_str()), (1, ""), "{events}");
    assert!(events.stderr.contains(&monday), "{events}");

    // What the ledger says stays: the same bytes again are known.
    drop_into(sshd.root(), MONDAY, &feed("a", 3));
    assert_eq!(gate.once().code, 0);
    assert_eq!(imports_of(&gate, &monday)[1]["status"], "duplicate");
    assert_eq!(delivered(&gate).len(), 3);
}

#[test]
fn what_a_destination_still_wants_stays_in_the_spool() {
    let sshd = Sshd::start();
    let mut gate = gate_over(&sshd);
    // A directory is where the database should be.
    let broken = gate.dir().join("broken.db");
    fs::create_dir(&broken).unwrap();
    gate.destination("broken", &format!("type = \"sqlite\"\npath = {broken:?}"));
    gate.section("[spool]\nretention = \"0s\"");
    drop_into(sshd.root(), MONDAY, &feed("a", 3));
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert_eq!(files(&gate.state_dir().join("spool")).len(), 1);
    assert_eq!(gate.events().len(), 3);
    fs::remove_dir(&broken).unwrap();
    assert_eq!(gate.cli(["retry", "--dead-letters", "broken"]).code, 0);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(files(&gate.state_dir().join("spool")), Vec::<String>::new());
}

/// A gate whose state lies on a small disk; `None`, and said, where that cannot be.
fn gate_on_small_disk(megabytes: usize, free_min: &str) -> Option<(Gate, PathBuf, SmallDisk)> {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    gate.section(&format!("[spool]\nfree_min = \"{free_min}\""));
    fs::create_dir(gate.state_dir()).expect("a mount point");
    let disk = SmallDisk::mount(&gate.state_dir(), megabytes * 1024, 10_000)?;
    Some((gate, root, disk))
}

#[test]
fn intake_pauses_before_the_disk_is_full_and_goes_on_when_there_is_room() {
    let Some((gate, root, disk)) = gate_on_small_disk(16, "4MiB") else {
        return;
    };
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);
    disk.fill_up_to(3 * 1024 * 1024);
    drop_into(&root, TUESDAY, &feed("b", 1));
    let trouble = wait_for_trouble(&gate, "acme")["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("make room"), "{trouble}");
    assert_eq!(delivered(&gate), ["a-0"]);
    disk.make_room();
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "b-0"]);
    wait_for_recovery(&gate, "acme");
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn a_disk_that_is_full_to_the_brim_costs_nothing_but_time() {
    let Some((gate, root, disk)) = gate_on_small_disk(24, "0B") else {
        return;
    };
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);
    // There is room for the ledger's own words, and none for an archive of 2 MB.
    disk.fill_up_to(700 * 1024);
    put(&root, &name_of(TUESDAY), &large_archive(TUESDAY, "b", 2000));
    let said = daemon_says_full(&daemon);
    wait_until("the full disk to be told", said);
    // And none for anything.
    fs::write(disk.dir().join("more"), vec![0; usize::try_from(disk.free()).unwrap()]).ok();
    drop_into(&root, WEDNESDAY, &feed("c", 1));
    std::thread::sleep(Duration::from_secs(2));
    let places =
        |name: &str| usize::from(root.join(name).exists()) + usize::from(root.join("processed").join(name).exists());
    assert_eq!([TUESDAY, WEDNESDAY].map(|digits| places(&name_of(digits))), [1, 1]);

    disk.make_room();
    fs::remove_file(disk.dir().join("more")).ok();
    assert_eq!(wait_for_events(&gate, 2002).len(), 2002);
    wait_for_disposition(&gate, &name_of(TUESDAY), "moved");
    wait_for_disposition(&gate, &name_of(WEDNESDAY), "moved");
    wait_for_recovery(&gate, "acme");
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 3);
    assert_eq!(gate.events().len(), 2002);
    assert_spool_is_tidy(&gate);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn an_archive_that_there_is_no_room_for_waits_and_smaller_ones_go_on() {
    let Some((gate, root, disk)) = gate_on_small_disk(24, "4MiB") else {
        return;
    };
    put(&root, &name_of(MONDAY), &large_archive(MONDAY, "a", 11_000));
    drop_into(&root, TUESDAY, &feed("b", 1));
    disk.fill_up_to(14 * 1024 * 1024);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(delivered(&gate), ["b-0"]);
    let waiting = gate.status()["waiting"][0].clone();
    assert_eq!(waiting["archive"], name_of(MONDAY));
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.contains("make room"), "{reason}");
    // Nothing of it was fetched, and the disk has the room it had.
    assert!(disk.free() > 13 * 1024 * 1024, "{}", disk.free());
}

#[test]
fn a_disk_without_inodes_is_told_of_and_costs_nothing_but_time() {
    let Some((gate, root, disk)) = gate_on_small_disk(24, "0B") else {
        return;
    };
    let daemon = gate.run();
    drop_into(&root, MONDAY, &feed("a", 1));
    wait_for_events(&gate, 1);
    let mut taken = Vec::new();
    let remounted = Command::new("mount")
        .args(["-o", "remount,nr_inodes=40"])
        .arg(disk.dir())
        .status();
    assert!(remounted.is_ok_and(|status| status.success()));
    while let path = disk.dir().join(format!("inode-{}", taken.len()))
        && fs::File::create_new(&path).is_ok()
    {
        taken.push(path);
    }
    assert!(!taken.is_empty());
    drop_into(&root, TUESDAY, &feed("b", 1));
    wait_until("the full disk to be told", daemon_says_full(&daemon));
    taken.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "b-0"]);
    wait_for_recovery(&gate, "acme");
    assert_eq!(daemon.stop().code, 0);
}

fn daemon_says_full(daemon: &crate::house::gate::Daemon) -> impl FnMut() -> bool {
    || {
        let log = daemon.stderr().to_lowercase();
        log.contains("no space left") || log.contains("disk is full")
    }
}

#[test]
fn what_is_no_longer_held_for_a_destination_that_is_down_is_told_at_once() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    std::fs::create_dir(&root).expect("the root");
    gate.source_local("acme", &root);
    // Nobody listens there.
    gate.destination(
        "crm",
        "type = \"http\"\nurl = \"http://127.0.0.1:9/in\"\nstart = \"oldest\"",
    );
    gate.section("[spool]\nretention = \"0s\"\nmax_lag = \"0s\"");
    let (name, bytes) = Archive::feed(
        "20260201000000",
        r#"[{"event":"Login","id":"1"},{"event":"Login","id":"2"}]"#,
    );
    std::fs::write(root.join(name), bytes).expect("an upload");
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    let told = once
        .stderr
        .lines()
        .find(|line| line.contains("left the spool before they were delivered"));
    let told: serde_json::Value = serde_json::from_str(told.unwrap_or_default()).unwrap_or_else(|_| panic!("{once}"));
    assert_eq!((&told["destination"], &told["events"]), (&"crm".into(), &2.into()));
}
