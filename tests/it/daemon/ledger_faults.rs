//! A ledger that cannot be used: a plain answer, and nothing is destroyed.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A gate that has imported one archive, its ledger all in one file, and another archive waiting in the root.
fn gate_with_history() -> (Gate, std::path::PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    drop_into(&root, MONDAY, &feed("a", 2));
    assert_eq!(gate.once().code, 0);
    let ledger = Connection::open(gate.ledger()).unwrap();
    ledger
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(ledger);
    drop_into(&root, TUESDAY, &feed("b", 1));
    (gate, root)
}

/// A way to spoil a ledger's bytes.
type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_one_is_refused_with_what_to_do_and_left_as_it_is() {
    let text: Damage = |bytes| *bytes = b"This is a text, and was never anything else. ".repeat(100);
    let cases: [(&str, Damage); 5] = [
        ("a text", text),
        ("its header", |bytes| bytes[..16].fill(b'X')),
        ("cut short", |bytes| bytes.truncate(3 * 4096 + 100)),
        ("pages in the middle", |bytes| bytes[2 * 4096..25 * 4096].fill(0xaa)),
        ("newer", |bytes| bytes[60..64].copy_from_slice(&99_u32.to_be_bytes())),
    ];
    for (what, damage) in cases {
        let (gate, root) = gate_with_history();
        let mut bytes = fs::read(gate.ledger()).unwrap();
        damage(&mut bytes);
        fs::write(gate.ledger(), &bytes).unwrap();
        let spool = files(&gate.state_dir().join("spool"));
        for command in [
            &["run"][..],
            &["once"],
            &["status"],
            &["events"],
            &["check"],
            &["retry", "--failed"],
        ] {
            let refused = gate.cli(command);
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{what}: {refused}");
            assert!(refused.stderr.contains("opening the ledger `"), "{what}: {refused}");
            let to_do = if what == "newer" {
                "use the newer feedgate"
            } else {
                "put a backup in its place"
            };
            assert!(refused.stderr.contains(to_do), "{what}: {refused}");
        }
        assert!(
            fs::read(gate.ledger()).unwrap() == bytes,
            "{what}: the ledger was changed"
        );
        assert_eq!(files(&gate.state_dir().join("spool")), spool, "{what}");
        assert!(root.join(name_of(TUESDAY)).exists(), "{what}");
    }
}

#[test]
fn an_empty_one_is_begun_anew_and_the_spool_of_the_lost_one_is_kept() {
    let (gate, root) = gate_with_history();
    fs::write(gate.ledger(), "").unwrap();
    let once = gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert!(once.stderr.contains("set aside and kept"), "{once}");
    assert!(root.join("processed").join(name_of(TUESDAY)).exists());
    assert_eq!(gate.events().len(), 1);
}

#[test]
fn one_that_somebody_holds_is_waited_for_and_what_was_read_is_not_lost() {
    let (gate, _root) = gate_with_history();
    let holder = Connection::open(gate.ledger()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // Longer than a statement waits.
    let once = gate.once();
    assert_eq!(once.code, 2, "{once}");
    assert!(
        once.stderr.contains("another program holds the ledger: end it"),
        "{once}"
    );
    // Looking is not held up.
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 1);
    assert_eq!(gate.events().len(), 2);
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(gate.once().code, 0);
    assert_eq!(delivered(&gate), ["a-0", "a-1", "b-0"]);
}

#[test]
fn one_that_is_put_aside_while_it_runs_is_copied_whole() {
    let (gate, root) = gate_with_history();
    let daemon = gate.run();
    wait_for_events(&gate, 3);
    let copy = gate.dir().join("copy.db");
    for n in 0..5 {
        drop_into(&root, &format!("2026020500000{n}"), &feed(&format!("c{n}"), 50));
        let backup = std::process::Command::new("sqlite3")
            .arg(gate.ledger())
            .arg(format!(".backup '{}'", copy.display()))
            .status();
        assert!(backup.unwrap().success());
        let check: String = Connection::open(&copy)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
    wait_for_events(&gate, 3 + 5 * 50);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn nobody_else_may_read_the_ledger_or_the_spool_even_in_a_directory_that_others_look_into() {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).unwrap();
    gate.source_local("acme", &root);
    // As a volume may be, with no umask at all.
    fs::create_dir(gate.state_dir()).unwrap();
    fs::set_permissions(gate.state_dir(), fs::Permissions::from_mode(0o777)).unwrap();
    drop_into(&root, MONDAY, &feed("a", 2));
    let (program, config) = (env!("CARGO_BIN_EXE_feedgate"), gate.config());
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "umask 000; exec \"$0\" run -c \"$1\""])
        .arg(program)
        .arg(config);
    let daemon = gate.spawn(
        shell
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped()),
    );
    wait_until("the import", || gate.ledger().exists() && gate.events().len() == 2);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "spool"] {
        let mode = fs::metadata(gate.state_dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    assert_eq!(daemon.stop().code, 0);
}
