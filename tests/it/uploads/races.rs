//! Each client against the poll, with `settle` at a second, and at nothing, where the zip's end alone protects.

use std::sync::Mutex;

use super::clients::{Client, Upload, clients};
use super::*;

/// An archive that was sent, and by whom.
struct Sent {
    client: &'static str,
    dir: PathBuf,
    name: String,
    bytes: Vec<u8>,
    events: usize,
}

#[test]
fn whatever_the_client_each_archive_is_imported_whole_and_once() {
    let (mut dice, rounds) = dice();
    let sshd = Sshd::start();
    let home = tempfile::tempdir().expect("the partner's own directory");
    let mut gate = Gate::new();
    // One source that waits, and one that trusts what it sees.
    let dirs = [("calm", "1s"), ("eager", "0s")].map(|(name, settle)| {
        let dir = sshd.root().join(name);
        fs::create_dir(&dir).expect("a directory of the account");
        let keys = sshd.toml().replace(&sshd.url(), &format!("{}/{name}", sshd.url()));
        gate.source_toml(
            name,
            &format!("{keys}settle = \"{settle}\"\npoll_interval = \"100ms\"\n"),
        );
        dir
    });
    gate.destination_sqlite("events");
    let _daemon = gate.run();

    let clients = clients();
    let sent = Mutex::new(Vec::new());
    for round in 0..rounds as usize {
        let due: Vec<(usize, &Client, &Path, usize)> = clients
            .iter()
            .enumerate()
            .map(|(place, client)| {
                let kilobytes = [1, 30, 300, 1500][dice.usize(..4)];
                let dir = &dirs[dice.usize(..dirs.len())];
                (round * clients.len() + place, client, dir.as_path(), kilobytes)
            })
            .collect();
        // Three at a time: more would race each other for the machine, and not the daemon.
        let due = Mutex::new(due.into_iter());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some((number, client, dir, kilobytes)) = next(&due) {
                        sent.lock().expect("no sender panicked").push(send(
                            &sshd,
                            home.path(),
                            client,
                            dir,
                            number,
                            kilobytes,
                        ));
                    }
                });
            }
        });
    }

    let sent = sent.into_inner().expect("no sender panicked");
    let events = sent.iter().map(|sent| sent.events).sum();
    wait_for_events(&gate, events);
    for archive in &sent {
        arrived_once(&gate, archive);
    }
    assert_eq!(gate.events().len(), events);
    for dir in &dirs {
        assert_eq!(files(dir), Vec::<String>::new());
    }
    for source in ["calm", "eager"] {
        assert_eq!(log_lines(&gate, "source_retry", source), Vec::<Value>::new());
    }
    assert_spool_is_tidy(&gate);
}

fn next<T>(due: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    due.lock().expect("no sender panicked").next()
}

fn send(sshd: &Sshd, home: &Path, client: &Client, dir: &Path, number: usize, kilobytes: usize) -> Sent {
    let digits = digits(number);
    let bytes = large_archive(&digits, &digits, kilobytes);
    // Alone in a directory, for the clients that send directories; and old, for those that keep times.
    let alone = home.join(&digits);
    fs::create_dir(&alone).expect("a directory");
    let from = alone.join(name_of(&digits));
    fs::write(&from, &bytes).expect("a file to send");
    File::options()
        .write(true)
        .open(&from)
        .and_then(|file| file.set_modified(long_ago()))
        .expect("an old time");
    let upload = Upload {
        from,
        to: dir.to_owned(),
    };
    // Where nothing is waited for, the archive may be put away before its uploader looks at it again, and complains.
    client.upload(sshd, &upload);
    Sent {
        client: client.name,
        dir: dir.to_owned(),
        name: name_of(&digits),
        bytes,
        events: kilobytes,
    }
}

/// It is in its place, byte for byte; it took its events in once; and it was called failed at no time, unless its end came
/// before its middle where nothing is waited for.
fn arrived_once(gate: &Gate, sent: &Sent) {
    let client = sent.client;
    wait_until(&format!("`{client}`: {} in its place", sent.name), || {
        let there = fs::read(sent.dir.join("processed").join(&sent.name));
        there.is_ok_and(|bytes| bytes == sent.bytes) && !sent.dir.join(&sent.name).exists()
    });
    let imports = imports_of(gate, &sent.name);
    let imported: Vec<&Value> = imports.iter().filter(|import| import["imported"] == true).collect();
    assert_eq!(imported.len(), 1, "`{client}`: {imports:#?}");
    assert_eq!(imported[0]["accepted"], sent.events, "`{client}`: {imports:#?}");
    // A client that finds its file put away may send it again.
    let mut others = statuses(gate, &sent.name);
    others.retain(|status| status != "processed" && status != "duplicate");
    let told_too_soon = usize::from(client == "paramiko, allocated" && sent.dir.ends_with("eager"));
    assert!(others.len() <= told_too_soon, "`{client}`: {imports:#?}");
}
