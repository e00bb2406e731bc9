//! Uploaders that write the zip's end before what comes before it, with `settle = "0s"`: no look at the end protects from
//! them, and times that are told to the second may never show that anything changed.

use std::os::unix::fs::FileExt;

use super::*;
use crate::house::far_end::Op;

/// A partner's file of this size, in the root, with nothing in it but the zip's end.
fn end_first(path: &Path, bytes: &[u8], time: SystemTime) -> File {
    let file = File::create(path).expect("an upload");
    file.set_len(bytes.len() as u64).expect("allocated");
    let end = bytes.len() - 3000;
    file.write_all_at(&bytes[end..], end as u64).expect("its end");
    file.set_modified(time).expect("its time");
    file
}

fn wait_for_status(gate: &Gate, archive: &str, status: &str) {
    wait_until(&format!("{archive} {status}"), || {
        statuses(gate, archive).last().is_some_and(|last| last == status)
    });
}

#[test]
fn what_was_read_too_soon_is_read_again_though_size_and_time_are_the_same() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let daemon = gate.run();
    let name = name_of(MONDAY);
    let bytes = large_archive(MONDAY, "a", 300);
    // The whole of the upload within one second, as the server tells times.
    let now = SystemTime::now();
    let file = end_first(&sshd.root().join(&name), &bytes, now);
    wait_for_status(&gate, &name, "failed");
    file.write_all_at(&bytes, 0).expect("all of it");
    file.set_modified(now).expect("the same time");

    assert_eq!(wait_for_events(&gate, 300).len(), 300);
    let import = wait_for_disposition(&gate, &name, "moved");
    assert_eq!(import["status"], "processed");
    assert_eq!(statuses(&gate, &name), ["failed", "processed"]);
    // The failure is taken back: nobody has to look, and the partner reads the last word.
    assert_eq!(gate.cli(["status"]).code, 0);
    let receipt = fs::read_to_string(sshd.root().join(format!("receipts/{name}.receipt.json"))).expect("a receipt");
    assert!(receipt.contains("\"processed\""), "{receipt}");
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn what_is_seen_to_change_is_not_called_failed_again_and_again() {
    let (mut dice, _) = dice();
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let _daemon = gate.run();
    let (name, growing) = (name_of(MONDAY), format!("{}.upload", name_of(MONDAY)));
    let bytes = large_archive(MONDAY, "a", 300);
    // Another partner writes under a name of his own, from the beginning.
    let mut beside = File::create(sshd.root().join(&growing)).expect("an upload");
    let file = end_first(&sshd.root().join(&name), &bytes, SystemTime::now());
    let mut pieces: Vec<usize> = (0..bytes.len()).step_by(10_000).collect();
    dice.shuffle(&mut pieces);
    for at in pieces {
        let piece = &bytes[at..bytes.len().min(at + 10_000)];
        file.write_all_at(piece, at as u64).expect("a piece");
        std::io::Write::write_all(&mut beside, piece).expect("a piece");
        pause(dice.u64(50..150));
    }
    fs::remove_file(sshd.root().join(&growing)).expect("taken back");
    let told = |archive: &str| {
        let mut told = statuses(&gate, archive);
        told.retain(|status| status == "failed");
        told.len()
    };
    assert_eq!(wait_for_events(&gate, 300).len(), 300);
    wait_for_disposition(&gate, &name, "moved");
    // At the first look, when nobody could know better.
    assert!(told(&name) <= 1, "{:#?}", imports_of(&gate, &name));
    assert!(told(&growing) <= 1, "{:#?}", imports_of(&gate, &growing));
}

#[test]
fn a_damaged_archive_is_read_once_more_and_then_left_alone() {
    let far = FarEnd::start();
    let gate = gate_over_far(&far, "");
    let name = name_of(MONDAY);
    let mut bytes = large_archive(MONDAY, "a", 3);
    bytes[1000] ^= 1;
    far.upload(&name, &bytes);
    let _daemon = gate.run();
    wait_for_status(&gate, &name, "failed");
    let path = format!("/{name}");
    let reads = || {
        far.journal()
            .iter()
            .filter(|seen| seen.op == Op::Read && seen.path == path)
            .count()
    };
    let first = reads();
    wait_until("the second look", || reads() > first && far.count(Op::Close) > 0);
    let listings = || far.journal().iter().filter(|seen| seen.op == Op::OpenDir).count();
    // Its turn ends, and a good many follow.
    let (second, listed) = (reads() + first, listings());
    wait_until("twenty listings more", || listings() >= listed + 20);
    assert!(reads() <= second, "{} reads, {first} at first", reads());
    assert_eq!(statuses(&gate, &name), ["failed"]);
    assert_eq!(imports_of(&gate, &name)[0]["violations"][0]["code"], "zip_checksum");
    assert_spool_is_tidy(&gate);
}
