//! Archives that are written directly into a local directory, which tells of changes: nobody waits for the poll, and nothing
//! is taken up before it is whole.

use std::process::Command;

use super::*;

/// A gate whose source is a directory that no poll looks at within the patience of a test.
fn watched(settle: &str) -> (Gate, PathBuf) {
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("the root");
    gate.source_local_with("acme", &root, &format!("settle = \"{settle}\"\npoll_interval = \"1h\""));
    gate.destination_sqlite("events");
    (gate, root)
}

fn wait_for_listing(gate: &Gate) {
    wait_until("the first listing", || {
        source_status(gate, "acme")["listed_at"].is_string()
    });
}

#[test]
fn copied_moved_and_written_by_pieces() {
    let (gate, root) = watched("0s");
    let _daemon = gate.run();
    wait_for_listing(&gate);
    let home = tempfile::tempdir().expect("the partner's own directory");
    let scripts = [
        "cp \"$0\" \"$1\"",
        "cp -p \"$0\" \"$1\"",
        "mv \"$0\" \"$1\"",
        "dd if=\"$0\" of=\"$1\" bs=3000 status=none",
        // Over something that was begun.
        "head -c 1000 \"$0\" > \"$1\"; sleep 0.5; tail -c +1001 \"$0\" >> \"$1\"",
        // Beside it, and then into place.
        "cp \"$0\" \"$1.part\"; sleep 0.2; mv \"$1.part\" \"$1\"",
    ];
    for (number, script) in scripts.iter().enumerate() {
        let digits = digits(number);
        let here = home.path().join(name_of(&digits));
        fs::write(&here, large_archive(&digits, &digits, 100)).expect("a file");
        let there = root.join(name_of(&digits));
        let done = Command::new("sh").args(["-c", script]).arg(here).arg(there).status();
        assert!(done.expect("sh").success(), "{script}");
    }
    assert_eq!(wait_for_events(&gate, scripts.len() * 100).len(), scripts.len() * 100);
    for (number, script) in scripts.iter().enumerate() {
        let name = name_of(&digits(number));
        wait_for_disposition(&gate, &name, "moved");
        // `cp -p` sets the time last: what was taken up by then goes back, is read again, and known.
        let statuses = statuses(&gate, &name);
        let fine = statuses[0] == "processed" && statuses[1..].iter().all(|status| status == "duplicate");
        assert!(fine, "{script}: {statuses:?}");
    }
    assert_eq!(gate.events().len(), scripts.len() * 100);
}

#[test]
fn what_is_settling_is_not_forgotten_when_something_else_stirs() {
    let (gate, root) = watched("2s");
    let _daemon = gate.run();
    wait_for_listing(&gate);
    let (name, bytes) = Archive::feed(MONDAY, &feed("a", 1));
    fs::write(root.join(&name), bytes).expect("an archive");
    wait_until("it is seen", || gate.status()["waiting"][0]["reason"] == "to settle");
    // No feed, and nothing to wait for. It wakes the daemon before the archive has settled.
    fs::write(root.join("readme.txt"), "a stranger").expect("a file");
    wait_for_events(&gate, 1);
    wait_for_disposition(&gate, &name, "moved");
}
