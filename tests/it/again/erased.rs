//! `erase`: a person forgotten wherever that can be done. Their values are looked for in every file afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{World, run_until_idle};
use crate::house::http_server::Script;

/// Distinct values, which stand nowhere else.
const PERSON: [&str; 4] = [
    "quetzal-17",
    "ana.quetzalina@example.com",
    "Quetzalcoatl Str. 5",
    "+49 170 5551917",
];

/// An entry with all values of the person; one of somebody else's in their place.
fn entry(n: usize, is_theirs: bool) -> String {
    let [id, email, street, phone] = match is_theirs {
        true => PERSON.map(str::to_owned),
        false => [
            format!("heron-{n}"),
            format!("heron{n}@example.com"),
            format!("Heron Str. {n}"),
            format!("+49 170 {n}"),
        ],
    };
    let day = 4 + n % 2;
    format!(
        r#"{{"event":"purchase","id":"{id}","email":"{email}","businessUnit":"shop","timestamp":"2026-02-0{day}T10:00:00.000Z","street":"{street}","phone":"{phone}"}}"#
    )
}

fn feed(count: usize, theirs: impl Fn(usize) -> bool) -> String {
    let entries: Vec<String> = (0..count).map(|n| entry(n, theirs(n))).collect();
    format!("[{}]", entries.join(","))
}

/// Whether any file below a directory has one of the person's values in it: as it is, or in any archive or compressed file.
fn mentions(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in below(dir) {
        let bytes = fs::read(&path).unwrap_or_default();
        for (what, bytes) in readable(&path, bytes) {
            for value in PERSON {
                if bytes.windows(value.len()).any(|window| window == value.as_bytes()) {
                    found.push(format!("{value} in {} ({what})", path.display()));
                }
            }
        }
    }
    found
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// A file's bytes, and all that can be unpacked of them.
fn readable(path: &Path, bytes: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let name = path.to_string_lossy();
    if name.ends_with(".zst") {
        all.push(("unpacked", zstd::decode_all(&bytes[..]).expect("zstd")));
    }
    if name.ends_with(".parquet") {
        all.push(("rows", format!("{:?}", super::parquet_rows(&bytes)).into_bytes()));
    }
    // Every deflate stream that begins with a local header, whatever file it lies in.
    let starts = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| *window == b"PK\x03\x04");
    let streams: Vec<Vec<u8>> = starts
        .filter_map(|(at, _)| {
            let header = bytes.get(at..at + 30)?;
            let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
            let data = bytes.get(at + 30 + length(26) + length(28)..)?;
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::DeflateDecoder::new(data), &mut text).ok();
            Some(text)
        })
        .collect();
    all.extend(streams.into_iter().map(|text| ("archive", text)));
    all.push(("as it is", bytes));
    all
}

#[test]
fn nothing_of_them_is_left_and_others_are_not_touched() {
    let world = World::new();
    world.server.always(Script::status(400));
    world.upload("20260204110000", &feed(4, |n| n == 2));
    world.gate.once();
    let letters = world.gate.cli(["dead-letters", "crm", "--json"]).json();
    assert_eq!(letters.as_array().unwrap().len(), 4);
    world.server.always(Script::ok("{}"));
    // Two small ones, which share a spool file; one of others alone; one so large that it has a file of its own.
    world.upload("20260204120000", &feed(20, |n| n % 5 == 0));
    world.upload("20260204130000", &feed(10, |_| false));
    let large: Vec<String> = (0..9_000).map(|n| entry(fastrand::usize(..), n % 300 == 7)).collect();
    world.upload("20260204140000", &format!("[{}]", large.join(",")));
    // One of theirs that was rejected.
    let broken = entry(1, true).replace("\"purchase\"", "\"\"");
    world.upload("20260204150000", &format!("[{},{broken}]", entry(2, false)));
    world.gate.once();
    assert!(!mentions(&world.gate.state_dir()).is_empty());
    let (before, trees) = (world.rows(), world.trees());

    let erased = world.well(&["erase", "--id", PERSON[0], "--yes"]);
    assert!(erased.stdout.contains("36 entries in 4 archives"), "{erased}");
    assert!(erased.stdout.contains("1 dead letters and"), "{erased}");
    assert!(
        erased
            .stdout
            .contains("the destination crm (http): what it was sent is there"),
        "{erased}"
    );
    world.gate.once();

    assert_eq!(mentions(&world.gate.state_dir()), Vec::<String>::new());
    let others: Vec<_> = before
        .into_iter()
        .filter(|row| row.3.as_deref() != Some(PERSON[0]))
        .collect();
    assert_eq!(world.rows(), others, "others' rows are what they were");
    assert_eq!(world.ids().len(), others.len());
    for (name, tree) in world.trees() {
        let untouched = tree
            .iter()
            .filter(|(path, bytes)| trees[&name][*path] == **bytes)
            .count();
        assert!(untouched > 0, "{name}: what holds nothing of them is not written anew");
    }
    let events: Vec<String> = world
        .gate
        .events()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let ids: Vec<String> = others.iter().map(|row| row.1.clone()).collect();
    assert_eq!(events, ids, "the spool is read as before, with the same ids");
    let request = world.request("6");
    assert_eq!(
        (&request["whom_is_known"], &request["done"]),
        (&false.into(), &true.into()),
        "{request:#}"
    );

    // Read again from the spool, nothing comes back; and who comes later never sees them.
    world.well(&["retry", "--import", "1"]);
    world.gate.once();
    assert_eq!(mentions(&world.gate.state_dir()), Vec::<String>::new());
    assert_eq!(world.rows(), others);
}

#[test]
fn by_address_in_its_unit_whatever_the_case_and_with_the_default_unit() {
    let world = World::with("default_business_unit = \"shop\"");
    let by = |email: &str, unit: &str| format!(r#"{{"event":"e","email":"{email}"{unit}}}"#);
    let entries = [
        by("Ana@Example.com", ""),
        by("ana@example.com", ",\"businessUnit\":\"shop\""),
        by("ana@example.com", ",\"businessUnit\":\"b2b\""),
        by("bob@example.com", ""),
    ];
    world.upload("20260204120000", &format!("[{}]", entries.join(",")));
    world.once();
    let plan = world
        .gate
        .cli(["erase", "--email", "ANA@example.com", "--unit", "shop"]);
    assert_eq!(plan.code, 2, "{plan}");
    assert!(plan.stdout.contains("spool: 2 entries in 1 of 1 archives"), "{plan}");
    assert!(
        plan.stdout
            .contains("1 entries have the same address in the business unit b2b"),
        "{plan}"
    );
    world.well(&["erase", "--email", "ANA@example.com", "--unit", "shop", "--yes"]);
    world.once();
    let left: BTreeMap<String, String> = world.rows().into_iter().map(|row| (row.1, row.5)).collect();
    assert_eq!(
        left.values().cloned().collect::<Vec<_>>(),
        entries[2..],
        "index and id stand"
    );
    assert_eq!(world.ids().len(), 2);
}

#[test]
fn beside_the_daemon_which_does_it_while_we_wait() {
    let world = World::new();
    world.upload("20260204120000", &feed(400, |n| n % 2 == 0));
    let daemon = run_until_idle(&world);
    let erased = world.well(&["erase", "--id", PERSON[0], "--yes", "--json"]).json();
    assert_eq!(erased["request"]["cleared"]["entries"], 200, "{erased:#}");
    assert_eq!(world.rows().len(), 200, "those who keep events have come to it too");
    assert_eq!(world.ids().len(), 200);
    world.all_done();
    // Erasing is not blocking.
    world.upload("20260204130000", &feed(2, |_| true));
    world.gate.wait_for_imports(2);
    crate::house::gate::wait_until("two more events", || world.rows().len() == 202);
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[test]
fn an_archive_of_nothing_but_them_is_read_as_before() {
    let world = World::new();
    world.upload("20260204120000", &feed(5_000, |_| true));
    world.once();
    assert_eq!(world.rows().len(), 5_000);
    world.well(&["erase", "--id", PERSON[0], "--yes"]);
    world.well(&["retry", "--import", "1", "--to", "events"]);
    world.once();
    assert!(world.ids().is_empty());
    assert_eq!(mentions(&world.gate.state_dir()), Vec::<String>::new());
}

#[test]
fn by_every_name_that_the_feeds_gave_them_though_nobody_needed_people_so_far() {
    let world = World::new();
    world.upload(
        "20260204120000",
        r#"[{"event":"e","email":"zap@example.com","businessUnit":"G","n":1},
            {"event":"e","id":"p7","email":"ZAP@example.com","businessUnit":"G","n":2},
            {"event":"e","id":"p7","n":3},{"event":"e","id":"z","n":4}]"#,
    );
    assert_eq!(world.once().code, 0);
    world.well(&["erase", "--id", "p7", "--yes"]);
    assert_eq!(world.once().code, 0);
    assert_eq!(world.ids().len(), 1, "the lead's event is theirs as well");
    assert_eq!(world.gate.events().len(), 1);
}

#[test]
fn what_an_undo_leaves_undelivered_is_named() {
    let world = World::new();
    let dir = world.gate.dir().join("events");
    fs::create_dir_all(&dir).expect("a directory");
    let unique = r#"{"eventName":"buy","actions":["EIConsumer"],"fields":[
        {"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId"}}},
        {"name":"oid","type":"string","attributes":{"isRequired":{"value":"true"},"isUniqueKeyField":{"value":"true"}}}]}"#;
    fs::write(dir.join("buy.json"), unique).expect("a definition");
    world.upload("20260204120000", r#"[{"event":"buy","id":"u","oid":"1"}]"#);
    assert_eq!(world.once().code, 0);
    world.upload(
        "20260204120001",
        r#"[{"event":"buy","id":"u","oid":"1"},{"event":"buy","id":"u","oid":"2"}]"#,
    );
    assert_eq!(world.once().code, 0);
    let undone = world.well(&["undo", "1", "--yes"]);
    assert!(
        undone
            .stdout
            .contains("later imports with events that had come before: 2"),
        "{undone}"
    );
    // Undone as well and uploaded again, nothing is missing.
    world.well(&["undo", "2", "--yes"]);
    world.upload(
        "20260204120001",
        r#"[{"event":"buy","id":"u","oid":"1"},{"event":"buy","id":"u","oid":"2"}]"#,
    );
    assert_eq!(world.once().code, 0);
    assert_eq!(world.gate.events().len(), 2);
}
