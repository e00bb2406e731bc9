//! Large archives, which are read while they arrive: the verdict is the one that reading them afterwards gives, one that
//! comes slowly keeps nobody waiting, and one that changes meanwhile is not believed.
//!
//! That a connection may be lost at any request meanwhile is `crash_walk`'s, which has such an archive.

use std::fs;
use std::path::Path;
use std::time::Duration;

use feedgate::source::LocalSource;
use feedgate::spool::{Known, Spool, SpoolError, Wanted, arriving};
use serde_json::Value;

use super::house::archives::{Archive, Method};
use super::house::gate::{Gate, wait_until};
use super::house::proxy::Proxy;
use super::house::sshd::Sshd;

const DIGITS: &str = "20240101000000";

/// Large enough by far not to be read whole at the first look.
const ENTRIES: usize = 20_000;

/// A feed of so many entries, one in a hundred of which is a reject, that deflate cannot make small.
fn feed(entries: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let entry = |index| match index % 100 {
        99 => format!(r#"{{"event":"Ö","x":"{:032x}"}}"#, random.u128(..)),
        _ => format!(r#"{{"event":"Ö","id":"{:032x}"}}"#, random.u128(..)),
    };
    let entries: Vec<String> = (0..entries).map(entry).collect();
    format!("[{}]", entries.join(",\n"))
}

fn name() -> String {
    format!("event_history_{DIGITS}.json.zip")
}

fn member() -> String {
    format!("event_history_{DIGITS}.json")
}

/// What reading came to, of all that a receipt or a report says.
fn verdict(said: &Value) -> Value {
    let keys = [
        "status",
        "imported",
        "entries",
        "accepted",
        "rejected",
        "sha256",
        "data_sha256",
        "data_bytes",
    ];
    let mut verdict: serde_json::Map<String, Value> =
        keys.iter().map(|&key| (key.to_owned(), said[key].clone())).collect();
    let violations = said["violations"].as_array().expect("a list").iter();
    let codes =
        violations.map(|violation| [&violation["code"], &violation["detail"], &violation["at"]].map(Value::clone));
    verdict.insert("violations".to_owned(), codes.map(Value::from_iter).collect());
    Value::Object(verdict)
}

#[test]
fn the_verdict_is_the_one_that_reading_it_afterwards_gives() {
    let text = feed(ENTRIES);
    let cut = &text[..text.len() - 200_000];
    let stored = || Archive::empty().packed(Method::Stored, &member(), text.as_bytes());
    let sshd = Sshd::start();
    let check = |bytes: &[u8], expect: &str| {
        assert!(bytes.len() > 300_000, "{} bytes would be read whole", bytes.len());
        let mut gate = Gate::new();
        let root = gate.dir().join("root");
        fs::create_dir(&root).expect("a root");
        gate.source_local("local", &root);
        gate.source_toml("far", &sshd.toml());
        for root in [&root, sshd.root()] {
            fs::write(root.join(name()), bytes).expect("dropped");
        }
        let checked = gate
            .cli(["check", "--json", root.join(name()).to_str().expect("UTF-8")])
            .json();
        assert!(gate.once().code < 2);
        let imports = gate.status()["imports"].as_array().expect("a list").clone();
        assert_eq!(imports.len(), 2, "{expect}: {imports:?}");
        for import in &imports {
            let full = gate.import_in_full(&import["id"].to_string());
            assert_eq!(verdict(&full), verdict(&checked));
            let said = format!("{} {}", full["status"], full["violations"]);
            assert!(said.contains(expect), "{said}");
        }
        fs::remove_dir_all(sshd.root().join("processed")).ok();
        fs::remove_file(sshd.root().join(name())).ok();
    };
    check(&Archive::of(&member(), &text).bytes(), "processed");
    check(&stored().bytes(), "processed");
    check(&stored().with(|m| m.both(|h| h.crc32 ^= 1)).bytes(), "zip_checksum");
    check(&stored().with(|m| m.both(|h| h.flags |= 1)).bytes(), "zip_encrypted");
    check(&stored().with(|m| m.local.name[0] = b'E').bytes(), "zip_inconsistent");
    check(&Archive::of("other.json", &text).bytes(), "member_name");
    check(&stored().file("b.txt", "two").bytes(), "not_one_file");
    check(&Archive::of(&member(), cut).bytes(), "json_syntax");
    check(
        &Archive::of(&member(), &format!("{text} x")).bytes(),
        "trailing_content",
    );
}

#[test]
fn one_that_comes_slowly_keeps_nobody_waiting() {
    let sshd = Sshd::start();
    let proxy = Proxy::to(sshd.port());
    let mut gate = Gate::new();
    let root = gate.dir().join("root");
    fs::create_dir(&root).expect("a root");
    gate.section("[limits]\nconcurrent_imports = 1");
    let slowly = sshd.toml().replace(&sshd.port().to_string(), &proxy.port().to_string());
    gate.source_toml("slow", &format!("{slowly}\ntimeout = \"60s\""));
    gate.source_local("quick", &root);
    let bytes = Archive::of(&member(), &feed(ENTRIES)).bytes();
    fs::write(sshd.root().join(name()), &bytes).expect("dropped");

    proxy.rate(100_000);
    let daemon = gate.start();
    let spool = gate.state_dir().join("spool");
    wait_until("the slow one is on its way", || half_way(&spool));
    proxy.stall();
    fs::write(root.join("upload"), &bytes).expect("dropped");
    fs::rename(root.join("upload"), root.join(name())).expect("dropped");
    let status = gate.wait_for_imports(1);
    let imports = status["imports"].as_array().expect("a list").iter();
    let closed: Vec<_> = imports.filter(|import| import["status"] != "importing").collect();
    assert_eq!(closed[0]["source"], "quick", "{closed:?}");
    assert!(half_way(&spool), "it was to be slow");

    proxy.rate(0);
    proxy.flow();
    let status = gate.wait_for_imports(2);
    let accepted = status["imports"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|import| &import["accepted"]);
    assert_eq!(
        accepted.collect::<Vec<_>>(),
        [ENTRIES - ENTRIES / 100, ENTRIES - ENTRIES / 100]
    );
    daemon.stop();
}

/// Whether an archive is in the spool in part.
fn half_way(spool: &Path) -> bool {
    let Ok(files) = fs::read_dir(spool) else { return false };
    let mut parts = files
        .filter_map(Result::ok)
        .filter(|file| file.file_name().as_encoded_bytes().ends_with(b".part"));
    parts.any(|part| part.metadata().is_ok_and(|part| part.len() > 0))
}

#[tokio::test]
async fn an_end_that_is_not_the_one_foretold_is_somebody_writing() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("root");
    fs::create_dir(&root).expect("a root");
    let bytes = Archive::of(&member(), &feed(ENTRIES)).bytes();
    fs::write(root.join(name()), &bytes).expect("dropped");
    let source = LocalSource::new("acme", &root, Duration::from_secs(60));
    let (spool, _) = Spool::open(&dir.path().join("spool"), "ledger").expect("a spool");

    let mut end = bytes[bytes.len() - 1000..].to_vec();
    for (changed, whole) in [(false, true), (true, false)] {
        if changed {
            end[0] ^= 1;
        }
        let (_archive, arrivals) = arriving(bytes.len() as u64, end.clone());
        let wanted = Wanted {
            path: name(),
            size: bytes.len() as u64,
            known: Known::Awaited(arrivals),
        };
        let fetched = spool.fetch(&source, vec![wanted]).await;
        match &fetched[..] {
            [Ok(_)] => assert!(whole),
            [Err(error @ SpoolError::Changed { .. })] => {
                assert!(!whole);
                assert!(error.to_string().contains("somebody is writing it"), "{error}");
            }
            _ => panic!("something else"),
        }
        // The first one stays; of the second nothing does.
        assert_eq!(fs::read_dir(dir.path().join("spool")).expect("a spool").count(), 1);
    }
}
