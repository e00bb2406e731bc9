//! Uploads that rest for longer than anybody waits, and servers whose clocks say anything.

use std::io::{Seek, SeekFrom, Write};

use super::*;

#[test]
fn an_upload_that_rests_beyond_the_grace_is_failed_and_taken_back_when_it_goes_on() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{}incomplete_grace = \"1s\"\n", sshd.toml()));
    gate.destination_sqlite("events");
    let _daemon = gate.run();
    let name = name_of(MONDAY);
    let bytes = large_archive(MONDAY, "a", 300);
    let mut file = File::create(sshd.root().join(&name)).expect("an upload");
    file.write_all(&bytes[..100_000]).expect("its beginning");
    wait_until("what is waited for", || {
        let waiting = gate.status()["waiting"][0]["reason"].to_string();
        waiting.contains("no zip's end yet after 100000 bytes") || !statuses(&gate, &name).is_empty()
    });
    let import = wait_for_disposition(&gate, &name, "left");
    assert_eq!(import["violations"][0]["code"], "zip_truncated");
    assert_eq!(gate.cli(["status"]).code, 1, "somebody has to look");

    file.write_all(&bytes[100_000..]).expect("the rest");
    drop(file);
    assert_eq!(wait_for_events(&gate, 300).len(), 300);
    wait_for_disposition(&gate, &name, "moved");
    assert_eq!(statuses(&gate, &name).first().map(String::as_str), Some("failed"));
    assert_eq!(statuses(&gate, &name).last().map(String::as_str), Some("processed"));
    assert_eq!(gate.cli(["status"]).code, 0, "nobody has to look any more");
}

/// What a file's time is after its piece with this number.
type Clock = fn(u32) -> SystemTime;

#[test]
fn whatever_the_server_says_of_time_nothing_is_read_half_or_failed() {
    const CLOCKS: [(&str, Clock); 6] = [
        ("1970", |_| SystemTime::UNIX_EPOCH),
        ("long ago", |_| long_ago()),
        ("five hours behind", |_| {
            SystemTime::now() - Duration::from_secs(5 * 3600)
        }),
        ("five hours ahead", |_| {
            SystemTime::now() + Duration::from_secs(5 * 3600)
        }),
        ("going backwards", |piece| {
            long_ago() - Duration::from_secs(u64::from(piece))
        }),
        ("now, and then as it was at home", |piece| match piece {
            9 => long_ago(),
            _ => SystemTime::now(),
        }),
    ];
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let _daemon = gate.run();
    std::thread::scope(|scope| {
        for (number, (_, clock)) in CLOCKS.iter().enumerate() {
            let path = sshd.root().join(name_of(&digits(number)));
            scope.spawn(move || {
                let bytes = large_archive(&digits(number), &digits(number), 200);
                let mut file = File::create(path).expect("an upload");
                // Ten pieces, an end that comes last, and a moment in which each is looked at.
                for (piece, bytes) in (0..).zip(bytes.chunks(bytes.len().div_ceil(10))) {
                    file.write_all(bytes).expect("a piece");
                    file.set_modified(clock(piece)).expect("a time");
                    pause(150);
                }
            });
        }
    });
    wait_for_events(&gate, CLOCKS.len() * 200);
    for (number, (what, _)) in CLOCKS.iter().enumerate() {
        let name = name_of(&digits(number));
        wait_for_disposition(&gate, &name, "moved");
        let statuses = statuses(&gate, &name);
        // Its time may be set when it has been read, and then it is read again, and known.
        let fine = statuses[0] == "processed" && statuses[1..].iter().all(|status| status == "duplicate");
        assert!(fine, "{what}: {statuses:?}");
    }
    assert_eq!(gate.events().len(), CLOCKS.len() * 200);
}

#[test]
fn cut_to_nothing_and_begun_anew_and_two_uploaders_of_one_name() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let _daemon = gate.run();
    let path = |number: usize| sshd.root().join(name_of(&digits(number)));
    let archive = |number: usize, tag: &str, kilobytes| large_archive(&digits(number), tag, kilobytes);
    std::thread::scope(|scope| {
        // Two thirds of one archive, then nothing, then all of another one.
        scope.spawn(|| {
            let mut file = File::create(path(0)).expect("an upload");
            file.write_all(&archive(0, "never", 300)[..200_000])
                .expect("most of it");
            pause(500);
            file.set_len(0).expect("cut");
            file.seek(SeekFrom::Start(0)).expect("the beginning");
            pause(500);
            file.write_all(&archive(0, "anew", 100)).expect("another");
        });
        // The same bytes from two sides, at different paces.
        for pace in [20, 45] {
            scope.spawn(move || upload(&path(1), &archive(1, "both", 200), pace));
        }
        // Different ones: whoever opens the file cuts off what the other has written, and what comes of that is whole or nothing.
        for (tag, kilobytes, pace) in [("quick", 100, 5), ("slow", 200, 40)] {
            scope.spawn(move || upload(&path(2), &archive(2, tag, kilobytes), pace));
        }
    });
    let ids = || -> Vec<String> {
        let id = |event: &Value| event["body"]["id"].as_str().unwrap_or_default().to_owned();
        gate.events().iter().map(id).collect()
    };
    let of = |ids: &[String], tag: &str| ids.iter().filter(|id| id.starts_with(tag)).count();
    wait_until("all that was written to its end", || {
        let ids = ids();
        of(&ids, "anew") == 100 && of(&ids, "both") == 200
    });
    for number in 0..2 {
        wait_for_disposition(&gate, &name_of(&digits(number)), "moved");
    }
    wait_until("a word on the third", || {
        let last = imports_of(&gate, &name_of(&digits(2))).pop().unwrap_or_default();
        last["disposition"] == "moved" || last["status"] == "failed"
    });
    let ids = ids();
    assert_eq!((of(&ids, "never"), of(&ids, "both")), (0, 200));
    assert!([0, 100].contains(&of(&ids, "quick")) && [0, 200].contains(&of(&ids, "slow")));
    for number in 0..2 {
        let statuses = statuses(&gate, &name_of(&digits(number)));
        // Two at once may show the end of one behind the beginning of the other at the very first look.
        let told = statuses.iter().filter(|status| *status == "failed").count();
        assert!(told <= usize::from(number == 1), "{number}: {statuses:?}");
    }
}

/// As sftp does it: opened and cut to nothing, then written piece by piece where each belongs.
fn upload(path: &Path, bytes: &[u8], pace: u64) {
    let mut file = File::create(path).expect("an upload");
    for piece in bytes.chunks(8_192) {
        file.write_all(piece).expect("a piece");
        pause(pace);
    }
}
