//! Names taken, directories that refuse, files that cannot be read: each delays itself alone, and nothing is overwritten.

use std::os::unix::fs::{PermissionsExt, chown};

use super::*;

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn where_processed_is_a_file_archives_wait_and_their_events_do_not() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    fs::write(sshd.root().join("processed"), "somebody's file").unwrap();
    let monday = drop_into(sshd.root(), MONDAY, &feed("a", 1));
    let _daemon = gate.run();
    let import = wait_for_disposition(&gate, &monday, "pending");
    let tuesday = drop_into(sshd.root(), TUESDAY, &feed("b", 1));
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "b-0"]);
    let import = match import["error"].is_string() {
        true => import,
        false => {
            wait_until("a reason", || imports_of(&gate, &monday)[0]["error"].is_string());
            imports_of(&gate, &monday).remove(0)
        }
    };
    assert_eq!(
        (&import["status"], &import["imported"]),
        (&"processed".into(), &true.into()),
        "{import}"
    );
    assert!(import["error"].as_str().unwrap().contains("processed"), "{import}");
    assert!(import["retry_at"].is_string(), "{import}");
    assert_eq!(fs::read(sshd.root().join("processed")).unwrap(), b"somebody's file");

    fs::remove_file(sshd.root().join("processed")).unwrap();
    for name in [monday, tuesday] {
        let import = wait_for_disposition(&gate, &name, "moved");
        assert!(import["error"].is_null(), "{import}");
        assert!(sshd.root().join("processed").join(name).exists());
    }
    assert_eq!(delivered(&gate).len(), 2);
}

#[test]
fn where_the_account_may_not_write_archives_wait_and_their_events_do_not() {
    let sshd = Sshd::with_password();
    let gate = gate_over(&sshd);
    let root = sshd.root();
    let owner = fs::metadata(root).unwrap();
    chown(root, Some(0), Some(0)).unwrap();
    let monday = drop_into(root, MONDAY, &feed("a", 1));
    let daemon = gate.run();
    assert_eq!(wait_for_events(&gate, 1), ["a-0"]);
    wait_until("a reason", || {
        let import = imports_of(&gate, &monday).pop().unwrap_or_default();
        import["error"]
            .as_str()
            .is_some_and(|error| error.contains("permission denied"))
    });
    let import = gate.import(&monday);
    assert_eq!(import["disposition"], "pending");
    assert_eq!(import["receipt"], "refused");
    drop_into(root, TUESDAY, &feed("b", 1));
    assert_eq!(wait_for_events(&gate, 2), ["a-0", "b-0"]);
    assert!(
        source_status(&gate, "acme")["trouble"].is_null(),
        "the source itself is well"
    );

    use std::os::unix::fs::MetadataExt;
    chown(root, Some(owner.uid()), Some(owner.gid())).unwrap();
    for digits in [MONDAY, TUESDAY] {
        wait_for_disposition(&gate, &name_of(digits), "moved");
    }
    assert_eq!(files(&root.join("processed")).len(), 2);
    assert_eq!(gate.status()["imports"].as_array().unwrap().len(), 2);
    let ended = daemon.stop();
    assert!(ended.stderr.contains("the receipt was not written"), "{ended}");
}

#[test]
fn a_name_that_is_taken_gets_the_beginning_of_the_hash_and_then_a_counter() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let processed = sshd.root().join("processed");
    fs::create_dir(&processed).unwrap();
    let name = name_of(MONDAY);
    fs::write(processed.join(&name), "somebody's file").unwrap();
    let _daemon = gate.run();
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    let import = wait_for_disposition(&gate, &name, "moved");
    let hash = &import["sha256"].as_str().unwrap()[..8];
    let with_hash = format!("event_history_{MONDAY}-{hash}.json.zip");
    assert_eq!(import["path"], format!("processed/{with_hash}"));

    // The same bytes again: even that name is taken now.
    drop_into(sshd.root(), MONDAY, &feed("a", 1));
    wait_until("the duplicate", || imports_of(&gate, &name).len() == 2);
    let import = wait_for_disposition(&gate, &name, "moved");
    assert_eq!(import["status"], "duplicate");
    let with_counter = format!("event_history_{MONDAY}-{hash}-2.json.zip");
    assert_eq!(import["path"], format!("processed/{with_counter}"));
    let mut expect = vec![name.clone(), with_hash, with_counter];
    expect.sort();
    assert_eq!(files(&processed), expect);
    assert_eq!(fs::read(processed.join(&name)).unwrap(), b"somebody's file");
    assert_eq!(delivered(&gate), ["a-0"]);
}

#[test]
fn a_file_that_cannot_be_read_delays_itself_alone_and_comes_in_late() {
    let sshd = Sshd::with_password();
    let gate = gate_over(&sshd);
    let root = sshd.root();
    let monday = drop_into(root, MONDAY, &feed("a", 1));
    allow(&root.join(&monday), 0o000);
    drop_into(root, TUESDAY, &feed("b", 1));
    let _daemon = gate.run();
    assert_eq!(wait_for_events(&gate, 1), ["b-0"]);
    let waiting = || gate.status()["waiting"].as_array().unwrap().clone();
    wait_until("a reason", || {
        let waiting = waiting();
        waiting.len() == 1 && waiting[0]["reason"].as_str().unwrap().contains("permission denied")
    });
    assert!(waiting()[0]["look_at"].is_string());
    assert!(source_status(&gate, "acme")["trouble"].is_null());
    drop_into(root, WEDNESDAY, &feed("c", 1));
    assert_eq!(wait_for_events(&gate, 2), ["b-0", "c-0"]);

    allow(&root.join(&monday), 0o644);
    assert_eq!(wait_for_events(&gate, 3), ["a-0", "b-0", "c-0"]);
    let import = wait_for_disposition(&gate, &monday, "moved");
    assert_eq!(import["flags"][0], "late");
    assert_eq!(imports_of(&gate, &monday).len(), 1);
}
