//! Permissions, names taken, full disks, vanished roots: the daemon says what is wrong, takes in what it can all the same, and
//! goes on by itself when it is mended.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::house::archives::Archive;
use crate::house::far_end::{FarEnd, Fault, Op, StatusCode};
use crate::house::small_disk::SmallDisk;

const MONDAY: &str = "20260302000000";
const TUESDAY: &str = "20260303000000";
const WEDNESDAY: &str = "20260304000000";

fn name_of(digits: &str) -> String {
    format!("event_history_{digits}.json.zip")
}

/// Puts an archive of one event into a directory, whole and at once.
fn drop_into(root: &Path, digits: &str) -> String {
    let (name, bytes) = Archive::feed(digits, &format!(r#"[{{"event":"Purchase","id":"{digits}"}}]"#));
    put(root, &name, &bytes);
    name
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let beside = root.join(".being-written");
    fs::write(&beside, bytes).expect("writing an upload");
    fs::rename(beside, root.join(name)).expect("putting an upload into place");
}

/// A column of the last import of an archive.
fn import(gate: &Gate, column: &str, name: &str) -> String {
    let sql = format!("SELECT {column} FROM imports WHERE archive = '{name}' ORDER BY id DESC LIMIT 1");
    ask(&gate.ledger(), &sql).join("")
}

fn wait_for_import(gate: &Gate, column: &str, name: &str, words: &str) {
    wait_until(&format!("{column} of {name} to say `{words}`"), || {
        import(gate, column, name).contains(words)
    });
}

#[test]
fn receipts_that_cannot_be_written_cost_a_warning_that_says_why() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd, "");
    let receipts = sshd.root().join("receipts");
    fs::write(&receipts, "somebody's file").unwrap();
    let daemon = gate.run();
    let monday = drop_into(sshd.root(), MONDAY);
    wait_for_import(&gate, "disposition", &monday, "moved");
    assert_eq!(import(&gate, "receipt", &monday), "refused");
    daemon.wait_for_log("something that is no directory is in its place; move it away");
    assert_eq!(fs::read(&receipts).unwrap(), b"somebody's file");

    // Its very name is taken by a directory; the others' are not.
    fs::remove_file(&receipts).unwrap();
    let taken = receipts.join(format!("{}.receipt.json", name_of(TUESDAY)));
    fs::create_dir_all(taken.join("of somebody")).unwrap();
    let tuesday = drop_into(sshd.root(), TUESDAY);
    let wednesday = drop_into(sshd.root(), WEDNESDAY);
    wait_for_import(&gate, "disposition", &tuesday, "moved");
    assert_eq!(import(&gate, "receipt", &tuesday), "refused");
    wait_for_import(&gate, "receipt", &wednesday, "written");
    wait_for_events(&gate, 3);
    wait_until_well(&gate);
    assert_eq!(
        files(&receipts),
        [format!("{wednesday}.receipt.json")],
        "nothing beside it"
    );
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn where_processed_is_a_file_it_says_so() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd, "");
    fs::write(sshd.root().join("processed"), "somebody's file").unwrap();
    let _daemon = gate.run();
    let monday = drop_into(sshd.root(), MONDAY);
    wait_for_import(
        &gate,
        "error",
        &monday,
        "something that is no directory is in its place; move it away",
    );
    wait_for_events(&gate, 1);
    fs::remove_file(sshd.root().join("processed")).unwrap();
    wait_for_import(&gate, "disposition", &monday, "moved");
    assert_eq!(import(&gate, "error", &monday), "");
}

/// Refused by a server that says no more than its code: told, waited for, done when it is allowed.
#[test]
fn whatever_is_refused_is_tried_again_until_it_is_allowed() {
    let worlds =
        [Op::OpenDir, Op::ReadDir, Op::Open, Op::Rename].map(|op| std::thread::spawn(move || refuse_for_a_while(op)));
    for world in worlds {
        world.join().expect("a world that ended well");
    }
}

fn refuse_for_a_while(op: Op) {
    let far = FarEnd::start();
    let mut gate = Gate::new();
    let keys = format!(
        "url = {:?}\nprivate_key_file = {:?}\nhost_key = {:?}\nreceipts = false\n",
        far.url(),
        far.key_file(),
        far.host_key()
    );
    gate.source_toml("acme", &keys);
    gate.destination_sqlite("events");
    far.always(op, Fault::Answer(StatusCode::PermissionDenied));
    if op == Op::Rename {
        // Else the other way to rename would be taken, where the server lists one.
        far.always(Op::PosixRename, Fault::Answer(StatusCode::PermissionDenied));
    }
    let daemon = gate.run();
    let name = name_of(MONDAY);
    far.upload(&name, &Archive::feed(MONDAY, r#"[{"event":"Purchase","id":"1"}]"#).1);
    let said = || match op {
        Op::Open => ask(&gate.ledger(), "SELECT waiting FROM listed").join(""),
        Op::Rename => import(&gate, "error", &name),
        _ => trouble(&gate),
    };
    wait_until(&format!("word of {op:?} being refused"), || {
        said().contains("permission denied")
    });
    far.forget();
    wait_for_import(&gate, "disposition", &name, "moved");
    wait_for_events(&gate, 1);
    wait_until_well(&gate);
    assert_eq!(daemon.stop().code, 0);
}

#[test]
fn a_full_disk_on_the_server_costs_receipts_and_time() {
    let sshd = Sshd::start();
    let Some(disk) = SmallDisk::mount(sshd.root(), 256, 64) else {
        return;
    };
    let gate = gate_over(&sshd, "");
    let monday = drop_into(sshd.root(), MONDAY);
    disk.fill();
    let daemon = gate.run();
    wait_for_events(&gate, 1);
    wait_for_import(&gate, "disposition", &monday, "moved");
    assert_eq!(import(&gate, "receipt", &monday), "refused");
    daemon.wait_for_log("the receipt was not written");
    disk.make_room();

    // No room for another name: nothing can be put away where it has to go.
    fs::rename(sshd.root().join("processed"), sshd.root().join("processed-before")).unwrap();
    let tuesday = drop_into(sshd.root(), TUESDAY);
    disk.fill_with_files();
    wait_for_events(&gate, 2);
    wait_for_import(&gate, "disposition", &tuesday, "pending");
    wait_for_import(&gate, "error", &tuesday, "processed");
    disk.make_room();
    wait_for_import(&gate, "disposition", &tuesday, "moved");
    let wednesday = drop_into(sshd.root(), WEDNESDAY);
    wait_for_import(&gate, "receipt", &wednesday, "written");
    wait_until_well(&gate);
    assert_eq!(files(sshd.root()), Vec::<String>::new());
    assert!(
        !files(&sshd.root().join("receipts"))
            .iter()
            .any(|name| name.ends_with(".tmp"))
    );
    assert_eq!(daemon.stop().code, 0);
}

/// The same over both kinds of source.
fn over_both(tell: impl Fn(&Gate, &Path)) {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd, "");
    tell(&gate, sshd.root());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let mut gate = Gate::new();
    gate.source_local("acme", &root);
    gate.destination_sqlite("events");
    tell(&gate, &root);
}

#[test]
fn a_root_that_vanishes_is_told_and_goes_on_when_it_is_back() {
    over_both(|gate, root| {
        let elsewhere = root.with_extension("gone");
        let daemon = gate.run();
        drop_into(root, MONDAY);
        wait_for_events(gate, 1);
        fs::rename(root, &elsewhere).unwrap();
        wait_for_trouble(gate, &["no such file"]);
        drop_into(&elsewhere, TUESDAY);
        fs::rename(&elsewhere, root).unwrap();
        wait_for_events(gate, 2);
        wait_until_well(gate);

        // Another directory in its place, then a link to one.
        fs::rename(root, &elsewhere).unwrap();
        fs::create_dir(root).unwrap();
        let wednesday = drop_into(root, WEDNESDAY);
        wait_for_import(gate, "disposition", &wednesday, "moved");
        wait_for_events(gate, 3);
        let another = root.with_extension("another");
        fs::rename(root, &another).unwrap();
        symlink(&another, root).unwrap();
        let thursday = drop_into(root, "20260305000000");
        wait_for_import(gate, "disposition", &thursday, "moved");
        wait_for_events(gate, 4);

        // A file in its place is no empty root.
        fs::remove_file(root).unwrap();
        fs::write(root, "").unwrap();
        wait_for_trouble(gate, &["listing"]);
        fs::remove_file(root).unwrap();
        fs::rename(&another, root).unwrap();
        wait_until_well(gate);
        assert_eq!(daemon.stop().code, 0);
    });
}

/// A volume that is not mounted looks like an empty root. What was left there is still there when it is back: not looked at
/// again, not moved, not called a duplicate of itself.
#[test]
fn a_root_that_is_empty_for_a_while_is_no_news_when_it_is_full_again() {
    over_both(|gate, root| {
        let elsewhere = root.with_extension("unmounted");
        let daemon = gate.run();
        // Its events are in, and it stays where it is; nothing is in of the other.
        let lenient = Archive::of("export.json", r#"[{"event":"Purchase","id":"1"}]"#).bytes();
        put(root, &name_of(MONDAY), &lenient);
        put(root, &name_of(TUESDAY), &Archive::feed(TUESDAY, "[").1);
        wait_for_import(gate, "disposition", &name_of(MONDAY), "left");
        wait_for_import(gate, "disposition", &name_of(TUESDAY), "left");
        fs::rename(root, &elsewhere).unwrap();
        fs::create_dir(root).unwrap();
        wait_until("an empty listing", || {
            ask(&gate.ledger(), "SELECT count(*) FROM listed") == ["0"]
        });
        fs::remove_dir_all(root).unwrap();
        fs::rename(&elsewhere, root).unwrap();
        drop_into(root, WEDNESDAY);
        wait_for_import(gate, "disposition", &name_of(WEDNESDAY), "moved");
        wait_until_well(gate);
        // What failed a moment ago is looked at once more, and claimed meanwhile: that is no import.
        assert_eq!(
            ask(&gate.ledger(), "SELECT count(*) FROM imports WHERE seq IS NOT NULL"),
            ["3"]
        );
        assert_eq!(files(root), [name_of(MONDAY), name_of(TUESDAY)]);
        wait_for_events(gate, 2);
        // One that is another file when it is back is looked at.
        put(root, &name_of(TUESDAY), &Archive::feed(TUESDAY, "[]").1);
        wait_for_import(gate, "disposition", &name_of(TUESDAY), "moved");
        assert_eq!(daemon.stop().code, 0);
    });
}

#[test]
fn a_directory_that_may_not_be_renamed_into_delays_moves_alone() {
    if !rustix::process::geteuid().is_root() {
        return; // an account of its own can only be made by root
    }
    let sshd = Sshd::with_password();
    let gate = gate_over(&sshd, "");
    let processed = sshd.root().join("processed");
    fs::create_dir(&processed).unwrap();
    fs::set_permissions(&processed, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = gate.run();
    let monday = drop_into(sshd.root(), MONDAY);
    wait_for_import(
        &gate,
        "error",
        &monday,
        "permission denied; look at the account's rights",
    );
    assert_eq!(import(&gate, "receipt", &monday), "written");
    wait_for_events(&gate, 1);
    fs::set_permissions(&processed, fs::Permissions::from_mode(0o777)).unwrap();
    wait_for_import(&gate, "disposition", &monday, "moved");
    assert_eq!(daemon.stop().code, 0);
}
