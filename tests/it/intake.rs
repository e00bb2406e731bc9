//! One test per rule and per ending: what becomes of an archive, from the listing to the receipt.
//!
//! Through the real binary, over a directory (quick) and, where the server has a say, over OpenSSH's sshd.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::house::archives::{Archive, Method};
use super::house::gate::Gate;
use super::house::sshd::Sshd;

const DAY_1: &str = "20240101000000";
const DAY_2: &str = "20240102000000";
const DAY_3: &str = "20240103000000";

const FEED: &str =
    r#"[{"event":"Viewed Page","id":"1"},{"event":"User Login","email":"ada@example.com","businessUnit":"DE"}]"#;
const OTHER_FEED: &str = r#"[{"event":"Viewed Cart","id":"3"}]"#;

/// A source, an importer, and somebody who drops archives.
struct Story {
    gate: Gate,
    root: PathBuf,
    _sshd: Option<Sshd>,
}

impl Story {
    /// Over a directory, with these keys of the source.
    fn with(keys: &str) -> Story {
        Story::and(keys, "")
    }

    /// Over a directory, with keys of the source and a section more.
    fn and(keys: &str, section: &str) -> Story {
        let mut gate = Gate::new();
        let root = gate.dir().join("root");
        fs::create_dir(&root).unwrap();
        gate.source_local_with("acme", &root, keys);
        gate.section(section);
        Story {
            gate,
            root,
            _sshd: None,
        }
    }

    fn new() -> Story {
        Story::with("")
    }

    /// Over a real SSH server.
    fn over_sftp(keys: &str) -> Story {
        let sshd = Sshd::start();
        let mut gate = Gate::new();
        gate.source_toml("acme", &format!("{}\n{keys}", sshd.toml()));
        let root = sshd.root().to_owned();
        Story {
            gate,
            root,
            _sshd: Some(sshd),
        }
    }

    /// Drops an honest archive.
    fn feed(&self, digits: &str, text: &str) -> &Story {
        let (name, bytes) = Archive::feed(digits, text);
        self.file(&name, &bytes)
    }

    /// Drops any file, in one piece. Its mtime is never one that a file of this name had before.
    fn file(&self, name: &str, bytes: &[u8]) -> &Story {
        let beside = self.gate.dir().join("upload");
        fs::write(&beside, bytes).unwrap();
        let path = self.root.join(name);
        if let Ok(before) = fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            let file = fs::File::options().write(true).open(&beside).unwrap();
            file.set_modified(before + std::time::Duration::from_secs(2)).unwrap();
        }
        fs::rename(beside, path).unwrap();
        self
    }

    fn once(&self) -> &Story {
        let once = self.gate.once();
        assert!(once.code < 2, "{once}");
        self
    }

    /// What became of everything, a line an import.
    fn imports(&self) -> Vec<String> {
        self.gate.status()["imports"]
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect()
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join(dir)) else {
            return Vec::new();
        };
        let files = entries
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().unwrap().is_file());
        let mut names: Vec<String> = files
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn receipt(&self, archive: &str) -> Value {
        let path = self.root.join(format!("receipts/{archive}.receipt.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

/// An import in a line: `20240101000000 failed: imported 2 of 3, left, member_name, [late]`.
fn line(import: &Value) -> String {
    let text = |key: &str| import[key].as_str().unwrap_or_default();
    let words = |key: &str, inner: Option<&str>| {
        let items = import[key].as_array().unwrap().iter();
        let word = |item: &Value| inner.map_or(item, |inner| &item[inner]).as_str().unwrap().to_owned();
        items.map(word).collect::<Vec<_>>().join(" ")
    };
    let digits = text("archive").replace("event_history_", "").replace(".json.zip", "");
    let imported = match import["imported"].as_bool().unwrap() {
        true => format!("imported {} of {}", import["accepted"], import["entries"]),
        false => "nothing".to_owned(),
    };
    let mut line = format!("{digits} {}: {imported}, {}", text("status"), text("disposition"));
    let (codes, flags) = (words("violations", Some("code")), words("flags", None));
    if !codes.is_empty() {
        line += &format!(", {codes}");
    }
    if !flags.is_empty() {
        line += &format!(", [{flags}]");
    }
    line
}

fn name(digits: &str) -> String {
    format!("event_history_{digits}.json.zip")
}

fn member(digits: &str) -> String {
    format!("event_history_{digits}.json")
}

#[test]
fn a_good_archive_is_imported_and_moved() {
    for story in [Story::new(), Story::over_sftp("")] {
        story.feed(DAY_1, FEED).once();
        assert_eq!(story.imports(), ["20240101000000 processed: imported 2 of 2, moved"]);
        assert_eq!(story.names(""), [""; 0]);
        assert_eq!(story.names("processed"), [name(DAY_1)]);
        let events = story.gate.events();
        assert_eq!(
            events[0]["body"],
            serde_json::json!({"event": "Viewed Page", "id": "1"})
        );
        assert_eq!(events.len(), 2);
        let receipt = story.receipt(&name(DAY_1));
        assert_eq!(receipt["status"], "processed");
        assert_eq!(receipt["accepted"], 2);
        assert_eq!(receipt["sha256"], story.gate.status()["imports"][0]["sha256"]);
    }
}

#[test]
fn an_empty_array_is_a_clean_import_of_nothing() {
    let story = Story::new();
    story.feed(DAY_1, " [ ] ").once();
    assert_eq!(story.imports(), ["20240101000000 processed: imported 0 of 0, moved"]);
}

#[test]
fn a_packaging_violation_is_imported_marked_failed_and_not_moved() {
    let check = |archive: Archive, expect: &str, events: usize| {
        let story = Story::new();
        story.file(&name(DAY_1), &archive.bytes()).once();
        assert_eq!(story.imports(), [expect]);
        assert_eq!(story.names(""), [name(DAY_1)]);
        assert_eq!(story.gate.events().len(), events);
        // It is not looked at again.
        story.once();
        assert_eq!(story.imports().len(), 1);
    };
    let right = member(DAY_1);
    check(
        Archive::of("other.json", FEED),
        "20240101000000 failed: imported 2 of 2, left, member_name",
        2,
    );
    check(
        Archive::of(&format!("folder/{right}"), FEED),
        "20240101000000 failed: imported 2 of 2, left, member_name",
        2,
    );
    check(
        Archive::of(&right, FEED).file("notes.txt", "x"),
        "20240101000000 failed: imported 2 of 2, left, not_one_file",
        2,
    );
    check(
        Archive::of("a.txt", "x").file("b.json", FEED),
        "20240101000000 failed: imported 2 of 2, left, not_one_file member_name",
        2,
    );
    check(
        Archive::of("a.json", FEED).file("b.json", FEED),
        "20240101000000 failed: nothing, left, not_one_file",
        0,
    );
    check(
        Archive::empty(),
        "20240101000000 failed: nothing, left, not_one_file",
        0,
    );
}

#[test]
fn strict_packaging_imports_nothing_of_a_violation() {
    let story = Story::with("packaging = \"strict\"");
    story
        .file(&name(DAY_1), &Archive::of("other.json", FEED).bytes())
        .once();
    assert_eq!(story.imports(), ["20240101000000 failed: nothing, left, member_name"]);
    assert_eq!(story.gate.events().len(), 0);
}

#[test]
fn the_receipt_of_a_lenient_failure_begins_with_what_matters_most() {
    let story = Story::new();
    story
        .file(&name(DAY_1), &Archive::of("other.json", FEED).bytes())
        .once();
    let text = fs::read_to_string(story.root.join(format!("receipts/{}.receipt.json", name(DAY_1)))).unwrap();
    let first = text.lines().nth(1).unwrap();
    assert_eq!(first, "  \"note\": \"2 events are imported; do not send them again\",");
    let receipt = story.receipt(&name(DAY_1));
    assert!(
        receipt["how_to_fix"]["member_name"]
            .as_str()
            .unwrap()
            .contains("pack the same data again")
    );
}

#[test]
fn a_partner_mends_a_lenient_failure_by_packing_it_anew() {
    let story = Story::new();
    story
        .file(&name(DAY_1), &Archive::of("other.json", FEED).bytes())
        .once();
    story.feed(DAY_1, FEED).once();
    assert_eq!(
        story.imports(),
        [
            "20240101000000 failed: imported 2 of 2, left, member_name",
            "20240101000000 duplicate: nothing, moved, [repacked]",
        ]
    );
    assert_eq!(story.gate.events().len(), 2);
    assert_eq!(story.names("processed"), [name(DAY_1)]);
    // And nobody need look any more.
    assert_eq!(story.gate.cli(["status"]).code, 0);
    assert!(!story.gate.cli(["status", "--failed"]).stdout.contains("event_history"));
}

#[test]
fn a_failure_needs_attention_for_as_long_as_it_lies_there() {
    let story = Story::new();
    story.feed(DAY_1, "[{]").once();
    assert_eq!(story.gate.cli(["status"]).code, 1);
    fs::remove_file(story.root.join(name(DAY_1))).unwrap();
    story.once();
    assert_eq!(story.gate.cli(["status"]).code, 0);
    assert_eq!(
        story.imports(),
        ["20240101000000 failed: nothing, left, json_syntax"],
        "it is not forgotten"
    );
}

#[test]
fn names_that_somebody_waits_for_are_failed_and_others_ignored() {
    let story = Story::new();
    let (_, bytes) = Archive::feed(DAY_1, FEED);
    for near in [
        "event_history_20240101000000.json",
        "event_history_20240101000000.json.gz",
        "event_history_20240101000000.json.ZIP",
        "event_history_20240101000000.json (1).zip",
        "Event_History_20240101000000.json.zip",
        "event_history_2024010100000.json.zip",
        "event_history_20240101000060.json.zip",
        "event_history_20240230000000.json.zip",
    ] {
        story.file(near, &bytes);
    }
    for other in [
        "readme.txt",
        "orders.zip",
        ".hidden",
        "event_history_20240101000000.json.zip.filepart",
    ] {
        story.file(other, &bytes);
    }
    fs::create_dir(story.root.join(name(DAY_2))).unwrap();
    std::os::unix::fs::symlink(story.root.join("readme.txt"), story.root.join(name(DAY_3))).unwrap();
    story.once();
    let imports = story.imports();
    assert_eq!(imports.len(), 8, "{imports:#?}");
    assert!(
        imports.iter().all(|line| line.contains("failed: nothing, left, name_")),
        "{imports:#?}"
    );
    assert_eq!(
        imports.iter().filter(|line| line.ends_with("name_timestamp")).count(),
        2,
        "{imports:#?}"
    );
    assert_eq!(story.names("").len(), 12);
    let source = &story.gate.status()["sources"][0];
    assert_eq!((&source["ignored"], &source["in_progress"]), (&2.into(), &2.into()));
}

#[test]
fn faults_import_nothing_and_leave_the_archive() {
    let check = |bytes: &[u8], code: &str| {
        let story = Story::new();
        story.file(&name(DAY_1), bytes).once();
        assert_eq!(
            story.imports(),
            [format!("20240101000000 failed: nothing, left, {code}")]
        );
        assert_eq!(story.gate.events().len(), 0);
        assert_eq!(story.receipt(&name(DAY_1))["violations"][0]["code"], code);
        let spool: Vec<_> = fs::read_dir(story.gate.state_dir().join("spool")).unwrap().collect();
        assert!(spool.is_empty(), "{spool:?}");
    };
    let feed = |text: &str| Archive::of(&member(DAY_1), text).bytes();
    check(&feed("[{]"), "json_syntax");
    check(&feed(r#"{"event":"A","id":"1"}"#), "not_an_array");
    check(&feed(&format!("{FEED} x")), "trailing_content");
    check(&feed(&format!("[{}]", "[".repeat(200))), "depth");
    check(&feed(r#"[{"event":"","id":"1"}]"#), "all_rejected");
    check(
        &Archive::empty()
            .packed(Method::Stored, &member(DAY_1), b"[\"\xff\"]")
            .bytes(),
        "encoding",
    );
    check(
        &Archive::of(&member(DAY_1), FEED)
            .with(|m| m.both(|h| h.crc32 ^= 1))
            .bytes(),
        "zip_checksum",
    );
}

#[test]
fn damage_to_the_zip_is_the_explanation_for_json_that_stops_making_sense() {
    let mut bytes = Archive::empty()
        .packed(Method::Stored, &member(DAY_1), FEED.as_bytes())
        .bytes();
    let brace = bytes.iter().position(|byte| *byte == b'{').unwrap();
    bytes[brace] = b'}';
    let story = Story::new();
    story.file(&name(DAY_1), &bytes).once();
    assert_eq!(story.imports(), ["20240101000000 failed: nothing, left, zip_checksum"]);
}

#[test]
fn an_incomplete_upload_waits_for_its_grace_and_is_then_failed() {
    let (archive, bytes) = Archive::feed(DAY_1, FEED);
    let half = &bytes[..bytes.len() / 2];
    let story = Story::new(); // a grace of ten minutes
    story.file(&archive, half).once();
    assert_eq!(story.imports(), [""; 0]);
    let waiting = &story.gate.status()["waiting"][0];
    assert!(
        waiting["reason"].as_str().unwrap().starts_with("incomplete"),
        "{waiting}"
    );
    // It grows, and is imported.
    story.file(&archive, &bytes).once();
    assert_eq!(story.imports(), ["20240101000000 processed: imported 2 of 2, moved"]);

    let story = Story::with("incomplete_grace = \"0s\"");
    story.file(&archive, half).file(&name(DAY_2), b"no zip at all").once();
    assert_eq!(
        story.imports(),
        [
            "20240101000000 failed: nothing, left, zip_truncated",
            "20240102000000 failed: nothing, left, zip_unreadable"
        ]
    );
    // The rest of the upload comes after all.
    story.file(&archive, &bytes).once();
    assert_eq!(story.imports()[2], "20240101000000 processed: imported 2 of 2, moved");
}

#[test]
fn archives_are_taken_in_the_order_of_their_names_and_late_ones_are_flagged() {
    let story = Story::new();
    story.feed(DAY_3, FEED).feed(DAY_2, OTHER_FEED).once();
    story.feed(DAY_1, r#"[{"event":"A","id":"9"}]"#).once();
    assert_eq!(
        story.imports(),
        [
            "20240102000000 processed: imported 1 of 1, moved",
            "20240103000000 processed: imported 2 of 2, moved",
            "20240101000000 processed: imported 1 of 1, moved, [late]",
        ]
    );
}

#[test]
fn the_same_archive_again_is_a_duplicate_and_put_away_beside_the_first() {
    let story = Story::new();
    for _ in 0..3 {
        story.feed(DAY_1, FEED).once();
    }
    assert_eq!(story.gate.events().len(), 2);
    assert_eq!(
        story.imports()[2],
        "20240101000000 duplicate: nothing, moved, [duplicate]"
    );
    let status = story.gate.status();
    let mark = &status["imports"][0]["sha256"].as_str().unwrap()[..8];
    let processed = story.names("processed");
    assert!(processed.contains(&name(DAY_1)), "{processed:?}");
    assert!(
        processed.contains(&format!("event_history_20240101000000-{mark}.json.zip")),
        "{processed:?}"
    );
    assert!(
        processed.contains(&format!("event_history_20240101000000-{mark}-2.json.zip")),
        "{processed:?}"
    );
}

#[test]
fn identity_is_by_name_and_content() {
    let story = Story::new();
    story.feed(DAY_1, FEED).once();
    story.feed(DAY_1, OTHER_FEED).once(); // the name again, with other data
    story.feed(DAY_2, FEED).once(); // the data again, under another name
    assert_eq!(
        story.imports()[1..],
        [
            "20240101000000 processed: imported 1 of 1, moved, [name_reused]",
            "20240102000000 processed: imported 2 of 2, moved, [same_content]",
        ]
    );
    let events = story.gate.events();
    let ids: std::collections::BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!((events.len(), ids.len()), (5, 5));
}

#[test]
fn a_failure_uploaded_again_gets_the_same_verdict_until_somebody_retries() {
    let mut story = Story::with("max_rejected = 0");
    let feed = r#"[{"event":"A","id":"1"},{"event":"A"}]"#;
    story.feed(DAY_1, feed).once();
    assert_eq!(
        story.imports(),
        ["20240101000000 failed: nothing, left, too_many_rejected"]
    );
    // The rules change, but what was judged is judged.
    story.gate.clear();
    story.gate.source_local("acme", &story.root);
    story.once();
    assert_eq!(story.imports().len(), 1);
    story.feed(DAY_1, feed).once();
    assert_eq!(
        story.imports()[1],
        "20240101000000 failed: nothing, left, too_many_rejected, [same_failure]"
    );
    let retry = story.gate.cli(["retry", &name(DAY_1)]);
    assert_eq!(retry.code, 0, "{retry}");
    story.once();
    assert_eq!(
        story.imports()[2],
        "20240101000000 processed: imported 1 of 2, moved, [retry]"
    );
}

#[test]
fn a_retry_never_imports_a_second_time() {
    let story = Story::new();
    story
        .file(&name(DAY_1), &Archive::of("other.json", FEED).bytes())
        .once();
    assert_eq!(story.gate.cli(["retry", "--failed"]).code, 0);
    story.once();
    assert_eq!(
        story.imports()[1],
        "20240101000000 failed: nothing, left, member_name, [duplicate retry]"
    );
    assert_eq!(story.gate.events().len(), 2);
    assert_eq!(
        story.receipt(&name(DAY_1))["note"],
        "2 events are imported; do not send them again"
    );
}

#[test]
fn dispositions_by_configuration() {
    let check = |keys: &str, root: &[&str], processed: &[&str], dispositions: [&str; 2]| {
        let story = Story::with(keys);
        story
            .feed(DAY_1, FEED)
            .file(&name(DAY_2), &Archive::of("other.json", OTHER_FEED).bytes())
            .once();
        let full = |digits: &&str| name(digits);
        assert_eq!(story.names(""), root.iter().map(full).collect::<Vec<_>>(), "{keys}");
        assert_eq!(
            story.names("processed"),
            processed.iter().map(full).collect::<Vec<_>>(),
            "{keys}"
        );
        let status = story.gate.status();
        let found = [
            &status["imports"][0]["disposition"],
            &status["imports"][1]["disposition"],
        ];
        assert_eq!(found, dispositions, "{keys}");
        // And nothing happens the next time.
        story.once();
        assert_eq!(story.imports().len(), 2, "{keys}");
        story
    };
    check("", &[DAY_2], &[DAY_1], ["moved", "left"]);
    check("after = \"delete\"", &[DAY_2], &[], ["deleted", "left"]);
    check("after = \"leave\"", &[DAY_1, DAY_2], &[], ["left", "left"]);
    let story = check("failed_dir = \"failed\"", &[], &[DAY_1], ["moved", "moved"]);
    assert_eq!(story.names("failed"), [name(DAY_2)]);
    let story = check("processed_dir = \"done/{yyyy}/{mm}\"", &[DAY_2], &[], ["moved", "left"]);
    assert_eq!(story.names("done/2024/01"), [name(DAY_1)]);
    let story = check("receipts = false", &[DAY_2], &[DAY_1], ["moved", "left"]);
    assert!(!story.root.join("receipts").exists());
}

#[test]
fn a_name_taken_in_processed_is_never_overwritten() {
    for story in [Story::new(), Story::over_sftp("")] {
        fs::create_dir(story.root.join("processed")).unwrap();
        fs::write(story.root.join("processed").join(name(DAY_1)), "precious").unwrap();
        story.feed(DAY_1, FEED).once();
        assert_eq!(
            fs::read_to_string(story.root.join("processed").join(name(DAY_1))).unwrap(),
            "precious"
        );
        assert_eq!(story.names("processed").len(), 2);
        let path = story.gate.status()["imports"][0]["path"].as_str().unwrap().to_owned();
        assert!(story.root.join(&path).exists(), "{path}");
    }
}

#[test]
fn what_cannot_be_put_away_is_pending_with_a_reason_and_the_rest_goes_on() {
    let story = Story::over_sftp("");
    fs::write(story.root.join("processed"), "a file in the way").unwrap();
    story.feed(DAY_1, FEED);
    assert_eq!(story.gate.once().code, 1);
    assert_eq!(story.gate.cli(["status"]).code, 1);
    let import = &story.gate.status()["imports"][0];
    assert_eq!(
        (&import["status"], &import["disposition"]),
        (&"processed".into(), &"pending".into())
    );
    assert!(import["error"].as_str().unwrap().contains("processed"), "{import}");
    assert!(import["retry_at"].is_string(), "{import}");
    // Mended, and asked for again.
    fs::remove_file(story.root.join("processed")).unwrap();
    assert_eq!(story.gate.cli(["retry", &name(DAY_1)]).code, 0);
    story.once();
    assert_eq!(story.imports(), ["20240101000000 processed: imported 2 of 2, moved"]);
    assert_eq!(story.gate.events().len(), 2);
}

#[test]
fn limits_are_kept() {
    let check = |section: &str, text: &str, code: &str| {
        let story = Story::and("", section);
        story.feed(DAY_1, text).once();
        assert_eq!(
            story.imports(),
            [format!("20240101000000 failed: nothing, left, {code}")],
            "{section}"
        );
    };
    let long = format!(r#"[{{"event":"A","id":"1","text":"{}"}}]"#, "x".repeat(3000));
    check(
        "[limits]\nunpacked_bytes = \"2KiB\"\narchive_bytes = \"2KiB\"",
        &long,
        "too_large",
    );
    check("[limits]\nentry_bytes = \"2KiB\"", &long, "entry_too_large");
    check("[limits]\ndepth = 2", r#"[{"event":"A","id":"1","x":[1]}]"#, "depth");
    let story = Story::and("", "[limits]\narchive_bytes = \"1KiB\"");
    let archive = Archive::empty().packed(Method::Stored, &member(DAY_1), long.as_bytes());
    story.file(&name(DAY_1), &archive.bytes()).once();
    assert_eq!(story.imports(), ["20240101000000 failed: nothing, left, too_large"]);
    assert!(
        story.gate.status()["imports"][0]["sha256"].is_null(),
        "it is not downloaded"
    );
}

#[test]
fn budgets_by_share_and_by_count() {
    let feed = r#"[{"event":"A","id":"1"},{"event":"A","id":"2"},{"event":"A","id":"3"},{"event":"A"}]"#;
    let check = |keys: &str, expect: &str| {
        let story = Story::with(keys);
        story.feed(DAY_1, feed).once();
        assert_eq!(story.imports(), [format!("20240101000000 {expect}")], "{keys}");
    };
    check("", "processed: imported 3 of 4, moved");
    check("max_rejected = \"25%\"", "processed: imported 3 of 4, moved");
    check("max_rejected = \"24%\"", "failed: nothing, left, too_many_rejected");
    check("max_rejected = 1", "processed: imported 3 of 4, moved");
    check("max_rejected = 0", "failed: nothing, left, too_many_rejected");
}

#[test]
fn every_reject_has_its_place() {
    let story = Story::new();
    let feed =
        "[\n  {\"event\":\"A\",\"id\":\"1\"},\n  {\"event\":\"Ä\",\"email\":\"no address\",\"businessUnit\":\"DE\"}\n]";
    story.feed(DAY_1, feed).once();
    let import = story.gate.import_in_full(&name(DAY_1));
    let reject = &import["rejects"][0];
    let place = ["index", "line", "column", "byte"].map(|key| reject[key].as_u64().unwrap());
    assert_eq!(place, [1, 3, 3, 30]);
    assert_eq!(
        (&reject["code"], &reject["pointer"]),
        (&"email_invalid".into(), &"/email".into())
    );
    let value = &reject["reasons"][0]["at"];
    assert_eq!(
        (&value["line"], &value["column"], &value["byte"]),
        (&3.into(), &24.into(), &52.into())
    );
    assert!(!reject.to_string().contains("no address"), "{reject}");
}

#[test]
fn the_vendors_own_example_is_explained_and_once_mended_its_double_key_is_caught() {
    let example = include_str!("../../fixtures/feeds/vendor_example.json");
    let story = Story::new();
    story.feed(DAY_1, example).once();
    let receipt = story.receipt(&name(DAY_1));
    let violation = &receipt["violations"][0];
    assert_eq!(
        (&violation["code"], &violation["line"], &violation["column"]),
        (&"json_syntax".into(), &16.into(), &5.into())
    );
    assert!(
        violation["detail"].as_str().unwrap().contains("comma is missing"),
        "{violation}"
    );
    assert!(
        receipt["how_to_fix"]["json_syntax"]
            .as_str()
            .unwrap()
            .contains("example"),
        "{receipt}"
    );

    let mended = example.replace("\"businessUnit\":\"crossengage\"", "\"businessUnit\":\"crossengage\",");
    story.feed(DAY_2, &mended).once();
    let receipt = story.receipt(&name(DAY_2));
    assert_eq!(receipt["rejects"][0]["code"], "duplicate_key");
    assert_eq!(receipt["rejects"][0]["pointer"], "/businessUnit");
    assert_eq!(receipt["violations"][0]["code"], "all_rejected");
}

#[test]
fn bodies_are_kept_byte_for_byte() {
    let story = Story::new();
    let body =
        r#"{"event":"A","id":"1","price":5.00,"big":123456789012345678901234567890,"é":"\u00e9\ud800","e":1E+2}"#;
    story.feed(DAY_1, &format!("[{body}]")).once();
    let output = story.gate.cli(["events"]);
    assert!(
        output.stdout.trim_end().ends_with(&format!("\"body\":{body}}}")),
        "{output}"
    );
}

#[test]
fn the_import_status_log_has_a_line_for_every_outcome() {
    let story = Story::new();
    story.feed(DAY_1, FEED).feed(DAY_2, "[{]").once();
    let log = fs::read_to_string(story.gate.state_dir().join("imports.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heads: Vec<String> = lines
        .iter()
        .map(|line| {
            format!(
                "{} {} {} {}",
                line["source"], line["archive"], line["id"], line["status"]
            )
        })
        .collect();
    assert_eq!(
        heads,
        [
            format!("\"acme\" \"{}\" 1 \"processed\"", name(DAY_1)),
            format!("\"acme\" \"{}\" 2 \"failed\"", name(DAY_2)),
        ]
    );
}

#[test]
fn sources_are_told_apart() {
    let mut story = Story::new();
    let other = story.gate.dir().join("other");
    fs::create_dir(&other).unwrap();
    story.gate.source_local("beta", &other);
    story.feed(DAY_1, FEED);
    let (archive, bytes) = Archive::feed(DAY_1, FEED);
    fs::write(other.join(&archive), bytes).unwrap();
    story.once();
    // The same bytes under the same name from somebody else are somebody else's events.
    assert_eq!(story.imports(), ["20240101000000 processed: imported 2 of 2, moved"; 2]);
    let ids: std::collections::BTreeSet<String> = story
        .gate
        .events()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn thousands_of_small_archives_go_through_in_batches() {
    let story = Story::over_sftp("receipts = false");
    for n in 0..600 {
        story.feed(
            &format!("202401{:02}{:02}{:02}00", 1 + n / 200, n / 60 % 24, n % 60),
            FEED,
        );
    }
    let dropped = story.names("").len();
    story.once();
    assert_eq!(story.names("processed").len(), dropped);
    assert_eq!(story.gate.events().len(), 2 * dropped);
    // Small archives share spool files.
    let spool = fs::read_dir(story.gate.state_dir().join("spool")).unwrap().count();
    assert!(spool < 10, "{spool} spool files for {dropped} archives");
}

#[test]
fn the_spool_of_a_lost_ledger_is_set_aside_and_kept() {
    let story = Story::with("after = \"delete\"");
    story.feed(DAY_1, FEED).once();
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(story.gate.state_dir().join(file)).ok();
    }
    let once = story.gate.once();
    assert!(once.stderr.contains("set aside"), "{once}");
    let state = fs::read_dir(story.gate.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let lost: Vec<PathBuf> = state
        .filter(|path| path.to_string_lossy().contains("spool.lost-"))
        .collect();
    assert_eq!(fs::read_dir(&lost[0]).unwrap().count(), 1, "{lost:?}");
    // The next start finds nothing amiss.
    assert!(!story.gate.once().stderr.contains("set aside"));
}

#[test]
fn two_file_destinations_do_not_write_over_each_other_by_whatever_path() {
    let mut story = Story::new();
    let dir = story.gate.dir().to_owned();
    fs::create_dir(dir.join("out")).unwrap();
    std::os::unix::fs::symlink(dir.join("out"), dir.join("link")).unwrap();
    for (name, place, event) in [("a", "out", "Viewed Page"), ("b", "link", "User Login")] {
        let path = dir.join(place);
        story.gate.destination(
            name,
            &format!("type = 'file'\npath = '{}'\nevents = ['{event}']", path.display()),
        );
    }
    story.feed(DAY_1, FEED);
    assert_eq!(story.gate.once().code, 1);
    let status = story.gate.status();
    let mut states: Vec<&str> = status["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    assert!(states.contains(&"idle"), "{status:#}");
    assert!(
        states.iter().any(|state| ["barred", "waiting"].contains(state)),
        "{status:#}"
    );
    story.gate.once();
    let reasons = story.gate.status()["destinations"].to_string();
    assert!(reasons.contains("belongs to the destination"), "{reasons}");
    // The same destination under another name is the same one only if it says so.
    story.gate.clear();
    story.gate.source_local("acme", &story.root);
    story
        .gate
        .destination("c", &format!("type = 'file'\npath = '{}'", dir.join("out").display()));
    assert_eq!(story.gate.cli(["check"]).code, 2);
}

#[test]
fn control_characters_reach_neither_log_nor_receipt() {
    let story = Story::new();
    let odd = "event_history_\u{9b}31m\u{202e}\u{7f}.json.zip";
    story.file(odd, b"x").once();
    let log = fs::read_to_string(story.gate.state_dir().join("imports.jsonl")).unwrap();
    let receipts = fs::read_dir(story.root.join("receipts")).unwrap();
    let receipt = fs::read_to_string(receipts.map(Result::unwrap).next().unwrap().path()).unwrap();
    for text in [&log, &receipt] {
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{text:?}");
        assert!(text.contains("\\u009b"), "{text}");
    }
}
