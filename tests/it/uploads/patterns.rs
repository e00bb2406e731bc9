//! Uploads that take their time: none is read half, none is marked failed while it grows.

use std::io::{Seek, SeekFrom, Write};

use super::clients::sftp;
use super::*;

/// Has OpenSSH's client do a batch of commands. `-l 1600` is 200 kB/s.
fn send(sshd: &Sshd, options: &[&str], batch: &str) {
    let status = sftp(sshd, sshd.root(), options, batch).status();
    assert!(status.expect("sftp (package openssh-client)").success(), "{batch}");
}

/// Set to a time long ago, as uploaders do that keep the times of their files.
fn make_old(file: &File) {
    file.set_modified(long_ago()).expect("an old time");
}

#[test]
fn uploads_in_progress_are_left_alone_until_they_are_whole() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml(
        "acme",
        &format!("{}settle = \"1s\"\nincomplete_grace = \"60s\"\n", sshd.toml()),
    );
    gate.destination_sqlite("events");
    let _daemon = gate.run();
    let at_home = tempfile::tempdir().expect("the partner's own directory");
    let digits = |number: usize| format!("2026030100000{number}");
    let archives: Vec<Vec<u8>> = (0..7)
        .map(|number| large_archive(&digits(number), &format!("{number}"), 500))
        .collect();
    let path = |number: usize| sshd.root().join(name_of(&digits(number)));
    let local = |number: usize| {
        let local = at_home.path().join(name_of(&digits(number)));
        fs::write(&local, &archives[number]).expect("a file to send");
        local.display().to_string()
    };

    std::thread::scope(|scope| {
        // Two and a half seconds over a thin line.
        scope.spawn(|| send(&sshd, &["-l", "1600"], &format!("put {}\n", local(0))));
        // The same, and at the end the file's own old time.
        scope.spawn(|| send(&sshd, &["-l", "1600"], &format!("put -p {}\n", local(1))));
        // Under another name first.
        scope.spawn(|| {
            let name = name_of(&digits(2));
            let batch = format!("put {} {name}.part\nrename {name}.part {name}\n", local(2));
            send(&sshd, &["-l", "1600"], &batch);
        });
        // Cut off in the middle, and taken up again after longer than it takes to settle.
        scope.spawn(|| {
            let whole = local(3);
            let half = at_home.path().join("half");
            fs::write(&half, &archives[3][..250_000]).expect("half a file");
            send(&sshd, &[], &format!("put {} {}\n", half.display(), name_of(&digits(3))));
            pause(2500);
            send(&sshd, &["-l", "1600"], &format!("reput {whole}\n"));
        });
        // By and by, with rests longer than it takes to settle.
        scope.spawn(|| {
            let mut file = File::create(path(4)).expect("an upload");
            for piece in archives[4].chunks(200_000) {
                file.write_all(piece).expect("a piece");
                pause(1800);
            }
        });
        // Allocated first: its size never changes, and it ends in zeros for long.
        scope.spawn(|| {
            let mut file = File::create(path(5)).expect("an upload");
            file.set_len(archives[5].len() as u64).expect("allocated");
            pause(2500);
            for piece in archives[5].chunks(130_000) {
                file.write_all(piece).expect("a piece");
                pause(500);
            }
        });
        // Its time is old whenever somebody looks, and does not move while it grows.
        scope.spawn(|| {
            let mut file = File::create(path(6)).expect("an upload");
            for piece in archives[6].chunks(100_000) {
                file.seek(SeekFrom::End(0)).expect("the end");
                file.write_all(piece).expect("a piece");
                make_old(&file);
                pause(500);
            }
        });
    });

    let ids = wait_for_events(&gate, 7 * 500);
    assert_eq!(ids.len(), 7 * 500);
    for (number, archive) in archives.iter().enumerate() {
        let name = name_of(&digits(number));
        wait_for_disposition(&gate, &name, "moved");
        let imports = imports_of(&gate, &name);
        assert_eq!(
            (&imports[0]["status"], &imports[0]["accepted"]),
            (&"processed".into(), &500.into()),
            "{imports:#?}"
        );
        // OpenSSH's client may rest for longer than it takes to settle before it sets the time of a file that is whole:
        // then it is put back, read again, and known.
        let is_known = |import: &Value| number == 1 && import["status"] == "duplicate";
        assert!(imports[1..].iter().all(is_known), "{imports:#?}");
        wait_until("the archive in its place, byte for byte", || {
            fs::read(sshd.root().join(format!("processed/{name}"))).is_ok_and(|bytes| bytes == *archive)
        });
    }
    assert_eq!(log_lines(&gate, "source_retry", "acme"), Vec::<Value>::new());
}
