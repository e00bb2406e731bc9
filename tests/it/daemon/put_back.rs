//! State that was lost, in whole or in part, and state that was put back from a backup.

use super::*;

/// A gate over a local directory, with a database and files of events beside the state, not in it.
fn gate_with_data_elsewhere() -> (Gate, std::path::PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local_with("acme", &root, "after = \"delete\"");
    let (events, lake) = (gate.dir().join("events.db"), gate.dir().join("lake"));
    gate.destination("events", &format!("type = \"sqlite\"\npath = {events:?}"));
    gate.destination(
        "lake",
        &format!("type = \"file\"\nformat = \"ndjson\"\npath = {lake:?}"),
    );
    (gate, root)
}

/// The state of a destination, and why.
fn destination(gate: &Gate, name: &str) -> (String, String) {
    let status = gate.status();
    let found = status["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == name);
    let text = |key: &str| found.unwrap()[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

/// All files below a directory, by name.
fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry"))
    {
        match entry.path().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.file_name().to_string_lossy().into_owned()),
        }
    }
    found.sort();
    found
}

/// What lies set aside in the state directory.
fn set_aside(gate: &Gate) -> Vec<String> {
    let aside = fs::read_dir(gate.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let aside = aside.filter(|path| path.to_string_lossy().contains("spool.lost-"));
    let mut names: Vec<String> = aside.flat_map(|dir| files(&dir)).collect();
    names.sort();
    names
}

#[test]
fn a_ledger_put_back_from_a_backup_costs_no_archive() {
    let (gate, root) = gate_with_data_elsewhere();
    drop_into(&root, MONDAY, &feed("a", 1));
    assert_eq!(gate.once().code, 0);
    let backup = gate.dir().join("backup.db");
    let ledger = Connection::open(gate.ledger()).unwrap();
    ledger.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    drop(ledger);
    let before = files(&gate.state_dir().join("spool"));
    for digits in [TUESDAY, WEDNESDAY] {
        drop_into(&root, digits, &feed(digits, 1));
        assert_eq!(gate.once().code, 0);
    }
    let mut since = files(&gate.state_dir().join("spool"));
    since.retain(|file| !before.contains(file));
    assert_eq!(since.len(), 2);

    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{ending}", gate.ledger().display())).ok();
    }
    fs::copy(&backup, gate.ledger()).unwrap();
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert!(once.stderr.contains("the ledger is older than the spool"), "{once}");
    // The spool's were the only copies of what is imported since.
    assert_eq!(set_aside(&gate), since);
    assert_eq!(files(&gate.state_dir().join("spool")), before);
    let (state, reason) = destination(&gate, "events");
    assert_eq!(state, "barred");
    assert!(reason.contains("put back from a backup"), "{reason}");

    // It is said once, and from here on is a state like any other.
    drop_into(&root, "20260205000000", &feed("d", 1));
    let once = gate.once();
    assert!(!once.stderr.contains("older than the spool"), "{once}");
    assert_eq!(set_aside(&gate), since);
    assert_eq!(gate.events().len(), 2);
    // What is imported again comes to the same ids, and so to the same files.
    let lake = files_below(&gate.dir().join("lake"));
    drop_into(&root, TUESDAY, &feed(TUESDAY, 1));
    gate.once();
    assert_eq!(files_below(&gate.dir().join("lake")), lake);
}

#[test]
fn a_ledger_put_back_that_comes_to_the_same_import_at_the_same_number_is_told_from_the_one_that_was_lost() {
    let (gate, root) = gate_with_data_elsewhere();
    drop_into(&root, MONDAY, &feed("a", 1));
    assert_eq!(gate.once().code, 0);
    let backup = gate.dir().join("backup.db");
    let ledger = Connection::open(gate.ledger()).unwrap();
    ledger.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    drop(ledger);
    for digits in [TUESDAY, WEDNESDAY] {
        drop_into(&root, digits, &feed(digits, 1));
        assert_eq!(gate.once().code, 0);
    }
    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{ending}", gate.ledger().display())).ok();
    }
    fs::copy(&backup, gate.ledger()).unwrap();

    // Another archive in Tuesday's place, and Wednesday's again: number 3, as it was.
    for (digits, of) in [("20260205000000", "d"), (WEDNESDAY, WEDNESDAY)] {
        drop_into(&root, digits, &feed(of, 1));
        gate.once();
    }
    let (state, reason) = destination(&gate, "events");
    assert_eq!(state, "barred");
    assert!(
        reason.contains("knows nothing of the last import in it"),
        "going on would have missed what came in Tuesday's place: {reason}"
    );

    // As the message says: moved away, it is filled anew, with all that is still in the spool.
    fs::remove_file(gate.dir().join("events.db")).unwrap();
    gate.cli(["retry", "--dead-letters", "events"]);
    assert_eq!(gate.once().code, 0);
    assert_eq!(destination(&gate, "events").0, "idle");
}

#[test]
fn a_write_ahead_log_that_is_lost_or_damaged_costs_no_archive() {
    for damage in ["lost", "damaged"] {
        let (gate, root) = gate_with_data_elsewhere();
        drop_into(&root, MONDAY, &feed("a", 1));
        assert_eq!(gate.once().code, 0);
        // All so far is in the database itself; what follows is in the log alone.
        let ledger = Connection::open(gate.ledger()).unwrap();
        ledger
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        drop(ledger);
        let daemon = gate.run();
        drop_into(&root, TUESDAY, &feed("b", 1));
        wait_until("the import", || gate.events().len() == 2);
        daemon.kill();
        let wal = gate.state_dir().join("ledger.db-wal");
        let mut bytes = fs::read(&wal).unwrap();
        assert!(!bytes.is_empty());
        bytes[32..].fill(0xaa);
        fs::remove_file(gate.state_dir().join("ledger.db-shm")).ok();
        match damage {
            "lost" => fs::remove_file(&wal).ok(),
            _ => fs::write(&wal, bytes).ok(),
        };
        let once = gate.once();
        assert!(
            once.stderr.contains("the ledger is older than the spool"),
            "{damage}: {once}"
        );
        assert_eq!(set_aside(&gate).len(), 1, "{damage}");
    }
}

#[test]
fn with_the_whole_state_lost_destinations_are_not_filled_twice() {
    let (gate, root) = gate_with_data_elsewhere();
    // One stays in the root: imported all the same, and marked as failed.
    let (left, _) = Archive::feed(MONDAY, "");
    put(&root, &left, &Archive::of("export.json", &feed("a", 2)).bytes());
    drop_into(&root, TUESDAY, &feed("b", 1));
    assert_eq!(gate.once().code, 1);
    assert_eq!(gate.events().len(), 3);
    let before = gate.events();
    let lake = files_below(&gate.dir().join("lake"));

    fs::remove_dir_all(gate.state_dir()).unwrap();
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    // What lay in the root is imported again, under the same ids; what was put away is not there any more.
    let again = gate.events();
    assert_eq!(again.len(), 2);
    assert!(
        again
            .iter()
            .all(|event| before.iter().any(|known| known["id"] == event["id"]))
    );
    // A database knows that it was filled from another ledger, and takes nothing; files are the same files once more.
    let (state, reason) = destination(&gate, "events");
    assert_eq!(state, "barred");
    assert!(reason.contains("move the destination's data away"), "{reason}");
    let events = Connection::open(gate.dir().join("events.db")).unwrap();
    let rows: i64 = events
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 3);
    assert_eq!(files_below(&gate.dir().join("lake")), lake);
}

#[test]
fn a_spool_file_that_is_gone_or_damaged_holds_up_its_own_events_alone_and_can_be_put_back() {
    for damage in ["gone", "empty", "cut short", "one bit"] {
        let mut gate = Gate::new();
        let root = gate.dir().join("root");
        fs::create_dir(&root).unwrap();
        gate.source_local("acme", &root);
        let name = drop_into(&root, MONDAY, &feed("a", 50));
        assert_eq!(gate.once().code, 0);
        drop_into(&root, TUESDAY, &feed("b", 1));
        assert_eq!(gate.once().code, 0);

        let stored: String = Connection::open(gate.ledger())
            .unwrap()
            .query_row("SELECT spool_file FROM imports WHERE archive = ?1", [&name], |row| {
                row.get(0)
            })
            .unwrap();
        let path = gate.state_dir().join("spool").join(stored);
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "gone" => fs::remove_file(&path).unwrap(),
            "empty" => fs::write(&path, "").unwrap(),
            "cut short" => fs::write(&path, &bytes[..bytes.len() - 30]).unwrap(),
            _ => {
                bytes[100] ^= 0x10;
                fs::write(&path, &bytes).unwrap();
            }
        }
        gate.destination_sqlite("events");
        let once = gate.once();
        assert_eq!(once.code, 1, "{damage}: {once}");
        let (state, reason) = destination(&gate, "events");
        assert_eq!(state, "behind", "{damage}: {reason}");
        assert!(reason.contains("put the file back from a backup"), "{damage}: {reason}");
        let events = gate.cli(["events"]);
        assert_eq!(
            events.code,
            if damage == "gone" { 1 } else { events.code },
            "{damage}: {events}"
        );

        // The archive once more, byte for byte: nothing is imported twice, and its bytes are in the spool again.
        fs::rename(root.join("processed").join(&name), root.join(&name)).unwrap();
        assert!(gate.once().code < 2);
        assert_eq!(
            imports_of(&gate, &name).last().unwrap()["status"],
            "duplicate",
            "{damage}"
        );
        assert_eq!(gate.cli(["retry", "--dead-letters", "events"]).code, 0);
        let once = gate.once();
        assert_eq!(once.code, 0, "{damage}: {once}");
        assert_eq!(delivered(&gate).len(), 51, "{damage}");
    }
}
