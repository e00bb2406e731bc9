//! The names that uploads have until they are whole: those that uploaders are known to use are left alone, others are told
//! once and well, and none is in the way of the archive that it becomes.

use std::io::Write;

use super::*;

/// How a name is made from the archive's.
type Named = fn(&str) -> String;

/// Uploads in progress, as sftp servers see them.
const KNOWN: [(&str, Named); 9] = [
    ("the usual ending", |name| format!("{name}.part")),
    ("WinSCP", |name| format!("{name}.filepart")),
    ("rclone since 1.63", |name| format!("{name}.1a2b3c4d.partial")),
    ("Spring Integration", |name| format!("{name}.writing")),
    ("many a program of one's own", |name| format!("{name}.tmp")),
    ("a browser, into a mounted directory", |name| {
        format!("{name}.crdownload")
    }),
    ("rsync", |name| format!(".{name}.Zx81aB")),
    ("lftp", |name| format!(".in.{name}")),
    ("an editor", |name| format!("{name}~")),
];

/// Names that nobody waits for.
const STRANGERS: [(&str, Named); 3] = [
    ("in front", |name| format!("_{name}")),
    ("likewise", |name| format!("~tmp_{name}")),
    ("another stem", |name| format!("upload-{name}")),
];

/// Names that begin as a feed's, which somebody waits for.
const NEAR_MISSES: [(&str, Named); 4] = [
    ("no known ending", |name| format!("{name}.upload")),
    ("likewise", |name| format!("{name}.tmp123")),
    ("another packing", |name| format!("{name}.gz")),
    ("a part of the name", |name| {
        name.replace(".json.zip", ".json.uploading.zip")
    }),
];

#[test]
fn written_under_another_name_and_renamed() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let _daemon = gate.run();
    let all: Vec<(&str, Named)> = [&KNOWN[..], &STRANGERS[..], &NEAR_MISSES[..]].concat();
    let mut names = Vec::new();
    let mut uploads = Vec::new();
    for (number, (_, named)) in all.iter().enumerate() {
        let digits = digits(number);
        let (name, bytes) = Archive::feed(&digits, &feed(&digits, 1));
        let path = sshd.root().join(named(&name));
        let mut file = File::create(&path).expect("an upload");
        file.write_all(&bytes[..50]).expect("its beginning");
        names.push((name, named(&archive_name(number))));
        uploads.push((path, file, bytes));
    }
    // Each near miss is told, with what to do about it.
    for (_, before) in names.iter().skip(KNOWN.len() + STRANGERS.len()) {
        wait_until(&format!("{before} told"), || statuses(&gate, before) == ["failed"]);
        let violation = imports_of(&gate, before)[0]["violations"][0].clone();
        assert_eq!(violation["code"], "name_malformed", "{before}");
    }
    let upload = format!("{}.upload", archive_name(KNOWN.len() + STRANGERS.len()));
    let told = imports_of(&gate, &upload)[0]["violations"][0]["detail"].to_string();
    assert!(told.contains("use `.part` or a dot in front"), "{told}");
    let source = source_status(&gate, "acme");
    assert_eq!(
        (&source["in_progress"], &source["ignored"]),
        (&KNOWN.len().into(), &STRANGERS.len().into()),
        "{source}"
    );

    for ((path, mut file, bytes), (name, _)) in uploads.into_iter().zip(&names) {
        file.write_all(&bytes[50..]).expect("the rest");
        fs::rename(path, sshd.root().join(name)).expect("renamed");
    }
    wait_for_events(&gate, all.len());
    for ((name, before), (who, _)) in names.iter().zip(&all) {
        wait_for_disposition(&gate, name, "moved");
        assert_eq!(statuses(&gate, name), ["processed"], "{who}");
        let known = !NEAR_MISSES.iter().any(|(_, named)| named(name) == *before);
        assert_eq!(statuses(&gate, before).is_empty(), known, "{who}: {before}");
    }
    // What was told of names that are gone keeps nobody busy.
    wait_until("nothing to attend to", || gate.cli(["status"]).code == 0);
}

fn archive_name(number: usize) -> String {
    name_of(&digits(number))
}
