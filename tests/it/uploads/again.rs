//! The same name uploaded again at the worst moments: noticed, nothing lost, nothing twice, nothing overwritten.

use std::io::Write;

use super::*;
use crate::house::far_end::{Fault, Op};

/// How long the far end holds an answer back: the moment in which the partner uploads again.
const HELD: Duration = Duration::from_millis(1000);

fn path() -> String {
    format!("/{}", name_of(MONDAY))
}

/// Waits until the far end has seen so many requests of this kind for the archive.
fn wait_for_request(far: &FarEnd, op: Op, count: usize) {
    wait_until("the moment", || {
        let seen = |request: &crate::house::far_end::Request| request.op == op && request.path == path();
        far.journal().iter().filter(|request| seen(request)).count() >= count
    });
}

/// Both uploads are imported, each once, and the second lies in `processed`; the first one's bytes are in the spool.
fn assert_both_are_imported(far: &FarEnd, gate: &Gate, second: &[u8]) {
    assert_eq!(wait_for_events(gate, 3), ["a-0", "b-0", "b-1"]);
    wait_for_disposition(gate, &name_of(MONDAY), "moved");
    let imports = imports_of(gate, &name_of(MONDAY));
    let accepted: Vec<&Value> = imports.iter().map(|import| &import["accepted"]).collect();
    assert_eq!(accepted, [1, 2]);
    assert_eq!(imports[1]["flags"][0], "name_reused");
    let mut processed = far.names("processed");
    processed.retain(|name| far.read(&format!("processed/{name}")).as_deref() == Some(second));
    assert_eq!(processed.len(), 1);
    assert!(!far.root().join(name_of(MONDAY)).exists());
    assert_eq!(gate.events().len(), 3);
    assert_spool_is_tidy(gate);
}

#[test]
fn while_it_is_being_read_only_what_is_there_in_the_end_counts() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    far.upload(&name_of(MONDAY), &large_archive(MONDAY, "first", 2000));
    far.on_path(Op::Read, &path(), 4, Fault::Delay(HELD));
    let _daemon = gate.run();
    wait_for_request(&far, Op::Read, 4);
    far.upload(&name_of(MONDAY), &large_archive(MONDAY, "second", 1500));
    let ids = wait_for_events(&gate, 1500);
    assert!(ids.len() == 1500 && ids.iter().all(|id| id.starts_with("second-")));
    wait_for_disposition(&gate, &name_of(MONDAY), "moved");
    assert_eq!(imports_of(&gate, &name_of(MONDAY)).len(), 1);
    assert_spool_is_tidy(&gate);
}

#[test]
fn written_on_while_it_is_being_read() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    let whole = large_archive(MONDAY, "a", 2000);
    far.upload(&name_of(MONDAY), &whole);
    far.on_path(Op::Read, &path(), 4, Fault::Delay(HELD));
    let _daemon = gate.run();
    wait_for_request(&far, Op::Read, 4);
    // The same file, in place: as a client does that begins its upload anew.
    fs::write(far.root().join(name_of(MONDAY)), &whole[..1_000_000]).unwrap();
    std::thread::sleep(HELD);
    fs::write(far.root().join(name_of(MONDAY)), large_archive(MONDAY, "b", 2500)).unwrap();
    let ids = wait_for_events(&gate, 2500);
    assert!(ids.len() == 2500 && ids.iter().all(|id| id.starts_with("b-")));
    let import = wait_for_disposition(&gate, &name_of(MONDAY), "moved");
    assert_eq!(import["status"], "processed");
    assert_eq!(imports_of(&gate, &name_of(MONDAY)).len(), 1);
    assert_spool_is_tidy(&gate);
}

/// The moments of putting away: the look after the download, the look before the rename, and the rename itself, which has
/// taken place when its answer is held back. A world for each, all at once.
fn at_each_moment(keys: &str, story: impl Fn(&FarEnd, &Gate, Op, usize) + Sync) {
    std::thread::scope(|scope| {
        for (op, nth) in [(Op::Stat, 1), (Op::Stat, 2), (Op::Rename, 1)] {
            let story = &story;
            scope.spawn(move || {
                let far = FarEnd::start();
                let gate = gate_over_far(&far, keys);
                far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 1)).1);
                // The directory is there, so that the first rename is the one that counts.
                fs::create_dir(far.root().join("processed")).unwrap();
                far.on_path(op, &path(), nth, Fault::Delay(HELD));
                story(&far, &gate, op, nth);
            });
        }
    });
}

#[test]
fn between_reading_and_renaming() {
    at_each_moment("", |far, gate, op, nth| {
        let _daemon = gate.run();
        wait_for_request(far, op, nth);
        let second = Archive::feed(MONDAY, &feed("b", 2)).1;
        far.upload(&name_of(MONDAY), &second);
        assert_both_are_imported(far, gate, &second);
    });
}

#[test]
fn between_reading_and_deleting() {
    at_each_moment("after = \"delete\"\n", |far, gate, op, nth| {
        let _daemon = gate.run();
        wait_for_request(far, op, nth);
        far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("b", 2)).1);
        assert_eq!(wait_for_events(gate, 3), ["a-0", "b-0", "b-1"]);
        wait_for_disposition(gate, &name_of(MONDAY), "deleted");
        wait_until("the source to be clean", || far.names("") == ["processed", "receipts"]);
        assert_eq!(imports_of(gate, &name_of(MONDAY)).len(), 2);
    });
}

/// An archive of one event, as long as every other one of these, with the time of every other one of these.
fn alike(far: &FarEnd, tag: &str, time: SystemTime) -> Vec<u8> {
    let member = name_of(MONDAY).replace(".zip", "");
    let bytes = Archive::empty()
        .packed(Method::Stored, &member, feed(tag, 1).as_bytes())
        .bytes();
    let beside = far.root().join(".beside");
    fs::write(&beside, &bytes).unwrap();
    File::options()
        .write(true)
        .open(&beside)
        .and_then(|file| file.set_modified(time))
        .unwrap();
    fs::rename(&beside, far.root().join(name_of(MONDAY))).unwrap();
    bytes
}

#[test]
fn another_one_of_the_same_size_within_the_same_second() {
    for keys in ["", "after = \"delete\"\n"] {
        let far = FarEnd::start();
        let gate = gate_over_far(&far, keys);
        // Two seconds are the finest that some servers tell, and none tells the time between.
        let time = SystemTime::now() + Duration::from_secs(60);
        alike(&far, "a", time);
        fs::create_dir(far.root().join("processed")).unwrap();
        // Before the archive is put away: nothing in its attributes will show that it is another one by then.
        far.on_path(Op::Stat, &path(), 2, Fault::Delay(HELD));
        let _daemon = gate.run();
        wait_for_request(&far, Op::Stat, 2);
        alike(&far, "b", time);
        assert_eq!(wait_for_events(&gate, 2), ["a-0", "b-0"]);
        wait_until("the second to be put away", || {
            !far.root().join(name_of(MONDAY)).exists()
        });
        assert_eq!(statuses(&gate, &name_of(MONDAY)), ["processed", "processed"]);
    }
}

#[test]
fn cut_off_half_way_through_deleting() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "after = \"delete\"\n");
    far.upload(&name_of(MONDAY), &Archive::feed(MONDAY, &feed("a", 1)).1);
    far.on_path(Op::Rename, &path(), 1, Fault::CutAfter);
    far.on(Op::Remove, 1, Fault::CutAfter);
    let _daemon = gate.run();
    wait_for_disposition(&gate, &name_of(MONDAY), "deleted");
    assert_eq!(far.names(""), ["receipts"]);
    assert_eq!(wait_for_events(&gate, 1), ["a-0"]);
    assert_eq!(gate.import(&name_of(MONDAY))["error"], Value::Null);
    wait_until("each cut to be told", || {
        let told = log_lines(&gate, "source_retry", "acme");
        assert!(told.len() <= 2, "{told:#?}");
        told.len() == 2
    });
}

#[test]
fn the_uploader_still_held_the_file_when_it_was_put_away() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}poll_interval = \"4s\"\n", sshd.toml()));
    gate.destination_sqlite("events");
    let name = name_of(MONDAY);
    let root = sshd.root();
    let first = Archive::feed(MONDAY, &feed("a", 1)).1;
    fs::write(root.join(&name), &first).unwrap();
    let mut held = fs::File::options().write(true).open(root.join(&name)).unwrap();
    let _daemon = gate.run();
    wait_for_disposition(&gate, &name, "moved");

    let second = Archive::feed(MONDAY, &feed("b", 2)).1;
    held.set_len(0).unwrap();
    held.write_all(&second).unwrap();
    drop(held);
    assert_eq!(wait_for_events(&gate, 3), ["a-0", "b-0", "b-1"]);
    wait_until("the second to be put away", || {
        fs::read(root.join("processed").join(&name)).is_ok_and(|bytes| bytes == second) && !root.join(&name).exists()
    });
    assert_eq!(imports_of(&gate, &name).len(), 2);
    let put_back = &imports_of(&gate, &name)[0];
    assert!(put_back["error"].as_str().unwrap().contains("put back"), "{put_back}");
}
