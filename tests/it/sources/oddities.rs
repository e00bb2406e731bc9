//! Servers with manners of their own. A real sftp-server does the work, and in between its replies are made to be what other
//! servers send: see `house/python/odd_sftp.py`. Whatever the manners, the life of a file goes on as the contract says.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, UNIX_EPOCH};

use feedgate::config::resolve::SftpSettings;
use feedgate::source::{SftpSource, Source};

use super::{TIMEOUT, expect_error, fetched, noise};
use crate::house::proxy::Proxy;
use crate::house::sshd::Sshd;

const NAME: &str = "event_history_20191118170500.json.zip";

/// A file is listed, looked at, read and put away, and has a receipt, twice.
async fn life_goes_on(manners: &str) {
    let sshd = Sshd::odd(manners);
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let bytes = noise(100_000, 1);
    fs::create_dir(sshd.root().join("a directory")).unwrap();
    for round in 1..=2 {
        fs::write(sshd.root().join(NAME), &bytes).unwrap();
        let said = |what: &str| format!("{manners}, round {round}: {what}");
        let file = fs::File::options().write(true).open(sshd.root().join(NAME)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_574_096_700))
            .unwrap();

        let listed = source.list().await.unwrap();
        assert!(
            listed.iter().all(|file| file.name == NAME),
            "{}",
            said(&format!("{listed:?}"))
        );
        let stat = listed[0].stat;
        assert_eq!(
            (stat.size, stat.mtime),
            (100_000, 1_574_096_700_000),
            "{}",
            said("listed")
        );
        assert_eq!(source.stat(NAME).await, Ok(Some(stat)), "{}", said("looked at"));
        assert_eq!(source.stat("nothing").await, Ok(None), "{}", said("looked at nothing"));
        expect_error(source.stat("a directory").await, "taken", &[]);

        let end = source.read(NAME, 50_000, 64 * 1024).await.unwrap();
        assert!(end == bytes[50_000..], "{}", said("its end is read"));
        let (came, outcome) = fetched(&source, NAME, 100_000).await;
        assert_eq!(outcome, Ok(100_000), "{}", said("fetched"));
        assert!(came == bytes, "{}", said("fetched"));

        source.make_dirs("processed/2019").await.unwrap();
        source.make_dirs("processed/2019").await.unwrap();
        let target = format!("processed/2019/{NAME}");
        fs::write(sshd.root().join("processed/2019/taken"), "another").unwrap();
        expect_error(source.rename(NAME, "processed/2019/taken").await, "taken", &[]);
        expect_error(source.rename("nothing", "processed/2019/nothing").await, "absent", &[]);
        source.rename(NAME, &target).await.unwrap();
        assert!(
            fs::read(sshd.root().join(&target)).unwrap() == bytes,
            "{}",
            said("put away")
        );
        let taken = fs::read_to_string(sshd.root().join("processed/2019/taken")).unwrap();
        assert_eq!(taken, "another", "{}", said("what was there is untouched"));

        let receipt = format!("receipt {round}");
        // Left behind by an attempt that was cut off.
        fs::write(sshd.root().join("processed/.receipt.feedgate.tmp"), "half").unwrap();
        source.write("processed/receipt", receipt.as_bytes()).await.unwrap();
        assert_eq!(
            fs::read_to_string(sshd.root().join("processed/receipt")).unwrap(),
            receipt
        );
        source.remove(&target).await.unwrap();
        expect_error(source.remove(&target).await, "absent", &[]);
        assert_eq!(
            fs::read_dir(sshd.root().join("processed")).unwrap().count(),
            2,
            "{}",
            said("nothing is left over")
        );
    }
}

/// Each oddity becomes a test: its name, and the manners.
macro_rules! oddities {
    ($($oddity:ident $manners:literal,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $oddity() {
            life_goes_on($manners).await;
        })*
    };
}

oddities! {
    nothing_beyond_the_document "extensions= extended=hang-up",
    extensions_that_are_offered_and_refused "refuse=200:8",
    no_rename_but_the_one_that_replaces "refuse=18:3",
    a_rename_that_replaces "extensions= rename=replaces",
    a_status_without_words "status=bare",
    codes_of_later_versions "status=4:11 status=2:10",
    codes_of_a_vendor "extensions= status=4:1000",
    no_bytes_where_the_end_should_be_told "end=data",
    a_listing_of_bare_names "names=bare",
    a_listing_of_long_names "names=long",
    a_listing_without_dots "dots=none",
    a_listing_that_has_all_names_twice "names=twice",
    no_paths_are_resolved "refuse=16:8",
    no_look_at_a_link_itself "refuse=7:8",
}

/// A failure may be a disk's, and must not pass for the end of a file. We never read beyond the size that was listed, and so
/// a server that says "failure" there is none the worse for it.
#[tokio::test]
async fn a_failure_where_the_end_should_be_told() {
    let sshd = Sshd::odd("end=failure");
    let bytes = noise(100_000, 1);
    fs::write(sshd.root().join(NAME), &bytes).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    assert!(source.read(NAME, 50_000, 50_000).await.unwrap() == bytes[50_000..]);
    let (came, outcome) = fetched(&source, NAME, 100_000).await;
    assert_eq!(outcome, Ok(100_000));
    assert!(came == bytes);
    expect_error(
        source.read(NAME, 50_000, 50_001).await,
        "refused",
        &["as odd as it gets"],
    );
}

#[tokio::test]
async fn a_server_of_another_version() {
    for version in [2, 4, 6] {
        let sshd = Sshd::odd(&format!("version={version}"));
        let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
        let words = [&*format!("the server speaks version {version}"), "not 3"];
        expect_error(source.list().await, "lost", &words);
    }
}

#[tokio::test]
async fn no_times_at_all() {
    let sshd = Sshd::odd("names=timeless");
    fs::write(sshd.root().join(NAME), "four").unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let listed = source.list().await.unwrap();
    assert_eq!((listed[0].stat.size, listed[0].stat.mtime), (4, 0));
    assert_eq!(
        source.stat(NAME).await,
        Ok(Some(listed[0].stat)),
        "the same at every look"
    );
}

/// Where nobody tells a file from a directory, whatever has a size is listed, and trying to read it shows.
#[tokio::test]
async fn no_types_at_all() {
    let sshd = Sshd::odd("names=untyped");
    fs::write(sshd.root().join("a file"), "four").unwrap();
    fs::create_dir(sshd.root().join("a directory")).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let mut names: Vec<String> = source.list().await.unwrap().into_iter().map(|file| file.name).collect();
    names.sort();
    assert_eq!(names, ["a directory", "a file"]);
    assert_eq!(source.read("a file", 0, 10).await.unwrap(), b"four");
    expect_error(source.read("a directory", 0, 10).await, "refused", &["`a directory`"]);
    source.make_dirs("a directory").await.unwrap();
    expect_error(source.make_dirs("a file").await, "refused", &["`a file`"]);
}

#[tokio::test]
async fn names_that_no_file_can_have() {
    let hex = |name: &[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let odd: [&[u8]; 6] = [b"", b"../up", b"/etc/passwd", b"nul\0", b"\xff\xfe", b"two\nlines"];
    let manners: String = odd.iter().map(|name| format!(" also={}", hex(name))).collect();
    let sshd = Sshd::odd(&manners);
    fs::write(sshd.root().join(NAME), "four").unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let listed: BTreeMap<String, u64> = (source.list().await.unwrap().into_iter())
        .map(|file| (file.name, file.stat.size))
        .collect();
    let odd = [
        "",
        "..\\x2fup",
        "\\x2fetc\\x2fpasswd",
        "nul\\x00",
        "\\xff\\xfe",
        "two\nlines",
    ];
    let mut expected: BTreeMap<String, u64> = odd.iter().map(|name| (name.to_string(), 7)).collect();
    expected.insert(NAME.to_string(), 4);
    assert_eq!(listed, expected);
    for name in odd.iter().filter(|name| !name.is_empty()) {
        assert_eq!(source.stat(name).await, Ok(None), "{name:?} leads nowhere");
    }
}

/// A listing of bare names is looked at name by name: one after the other these are three thousand journeys of 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_bare_names_from_far_away() {
    let sshd = Sshd::odd("names=bare");
    for index in 0..3000 {
        fs::write(sshd.root().join(format!("{index}.zip")), "x").unwrap();
    }
    let proxy = Proxy::to(sshd.port());
    let settings = SftpSettings {
        port: proxy.port(),
        ..sshd.settings()
    };
    let source = SftpSource::new("acme", &settings, TIMEOUT);
    source.stat("nothing").await.unwrap();
    proxy.delay(Duration::from_millis(20));
    let began = Instant::now();
    assert_eq!(source.list().await.unwrap().len(), 3000);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}
