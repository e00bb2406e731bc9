//! What every source promises, run over a local directory, over OpenSSH in its common forms, and over the servers of others.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

use feedgate::source::Stat;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{Place, expect_error, fetched, noise, sha256};

/// Each promise becomes a test for every place.
macro_rules! promises {
    ($($promise:ident,)*) => {
        promises!(at local $($promise)*);
        promises!(at openssh $($promise)*);
        promises!(at openssh_chroot $($promise)*);
        promises!(at openssh_without_extensions $($promise)*);
        promises!(at proftpd $($promise)*);
        promises!(at dropbear $($promise)*);
        promises!(at asyncssh $($promise)*);
        promises!(at paramiko $($promise)*);
    };
    (at $place:ident $($promise:ident)*) => {
        mod $place {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                // A place that cannot be had here has said so.
                if let Some(place) = super::Place::$place() {
                    super::$promise(&place).await;
                }
            })*
        }
    };
}

promises! {
    lists_regular_files_alone,
    lists_thousands,
    says_size_and_mtime,
    reads_a_part,
    fetches_in_order,
    fetches_what_shrank_or_grew,
    stops_when_nobody_listens,
    holds_back_for_a_slow_receiver_and_no_other,
    renames_and_never_over_another,
    removes,
    makes_directories,
    writes_whole_and_over,
    follows_no_path_out_of_the_root,
    takes_any_name,
    does_many_things_at_once,
    says_that_the_root_is_absent,
}

async fn lists_regular_files_alone(place: &Place) {
    assert_eq!(place.names().await, Vec::<String>::new());
    place.put("a.zip", "a");
    place.put("empty", "");
    place.dir("directory");
    place.put("directory/inside", "not listed");
    symlink(place.root.join("a.zip"), place.root.join("link")).unwrap();
    symlink("nowhere", place.root.join("dangling")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(place.names().await, ["a.zip", "empty"]);
}

async fn lists_thousands(place: &Place) {
    let mut expected = BTreeMap::new();
    for index in 0..2000 {
        let name = format!("event_history_20191118{index:06}.json.zip");
        place.put(&name, "x".repeat(index % 7));
        expected.insert(name, (index % 7) as u64);
    }
    let listed: BTreeMap<String, u64> = place
        .source
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|file| (file.name, file.stat.size))
        .collect();
    assert_eq!(listed, expected);
}

async fn says_size_and_mtime(place: &Place) {
    place.put("a.zip", "four");
    let file = std::fs::File::options()
        .write(true)
        .open(place.root.join("a.zip"))
        .unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_574_096_700))
        .unwrap();
    let expected = Stat {
        size: 4,
        mtime: 1_574_096_700_000,
    };
    assert_eq!(place.source.stat("a.zip").await, Ok(Some(expected)));
    assert_eq!(place.source.list().await.unwrap()[0].stat, expected);
    assert_eq!(place.source.stat("b.zip").await, Ok(None));
    assert_eq!(place.source.stat("absent/b.zip").await, Ok(None));
    match place.source.stat("a.zip/b.zip").await {
        // ProFTPD says a plain "failure" of a path that leads through a file, and nothing tells that from others.
        Err(error) => expect_error::<()>(Err(error), "refused", &["`a.zip/b.zip`"]),
        found => assert_eq!(found, Ok(None)),
    }
    place.dir("directory");
    symlink("a.zip", place.root.join("link")).unwrap();
    expect_error(place.source.stat("directory").await, "taken", &["`directory`"]);
    match place.source.stat("link").await {
        // ProFTPD's LSTAT follows links. Its listing tells them all the same, and none is ever taken up.
        Ok(found) => assert_eq!(found, Some(expected)),
        Err(error) => expect_error::<()>(Err(error), "taken", &["`link`"]),
    }
}

async fn reads_a_part(place: &Place) {
    let bytes = noise(700_000, 1);
    place.put("a.zip", &bytes);
    for (offset, len) in [
        (0, 10),
        (0, 0),
        (5, 1),
        (699_990, 100),
        (699_999, 1),
        (700_000, 10),
        (9_000_000, 10),
        (100, 600_000),
    ] {
        let part = place.source.read("a.zip", offset, len).await.unwrap();
        let start = (offset as usize).min(bytes.len());
        let end = (start + len).min(bytes.len());
        assert!(
            part == bytes[start..end],
            "{len} bytes from {offset}: {} came",
            part.len()
        );
    }
    assert_eq!(place.source.read("a.zip", 0, usize::MAX).await.unwrap().len(), 700_000);
    assert_eq!(place.source.read("a.zip", u64::MAX, 10).await.unwrap_or_default(), b"");
    expect_error(place.source.read("b.zip", 0, 1).await, "absent", &["reading `b.zip`"]);
    place.dir("directory");
    expect_error(place.source.read("directory", 0, 1).await, "refused", &["`directory`"]);
}

async fn fetches_in_order(place: &Place) {
    for len in [0, 1, 32 * 1024, 255 * 1024, 255 * 1024 + 1, place.much] {
        let bytes = noise(len, len as u64);
        place.put("a.zip", &bytes);
        let (came, outcome) = fetched(&*place.source, "a.zip", len as u64).await;
        assert_eq!(outcome, Ok(len as u64));
        assert_eq!(sha256(&came), sha256(&bytes), "{len} bytes");
    }
    let (_, outcome) = fetched(&*place.source, "b.zip", 10).await;
    expect_error(outcome, "absent", &["fetching `b.zip`"]);
}

async fn fetches_what_shrank_or_grew(place: &Place) {
    let bytes = noise(1_000_000, 2);
    place.put("a.zip", &bytes);
    for size in [0, 1, 999_999, 300_000] {
        let (came, outcome) = fetched(&*place.source, "a.zip", size).await;
        assert_eq!(outcome, Ok(size));
        assert!(came == bytes[..size as usize]);
    }
    for size in [1_000_001, 5_000_000, u64::MAX] {
        let (came, outcome) = fetched(&*place.source, "a.zip", size).await;
        assert_eq!(outcome, Ok(1_000_000));
        assert!(came == bytes);
    }
}

async fn stops_when_nobody_listens(place: &Place) {
    place.put("a.zip", noise(place.much, 3));
    let (into, mut pieces) = mpsc::channel(1);
    let listen_once = async move {
        pieces.recv().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(place.source.fetch("a.zip", place.much as u64, into), listen_once);
    expect_error(outcome, "stopped", &["`a.zip`"]);
    assert_eq!(place.names().await, ["a.zip"]);
}

async fn holds_back_for_a_slow_receiver_and_no_other(place: &Place) {
    let (bytes, size) = (noise(place.much, 4), place.much as u64);
    place.put("slow.zip", &bytes);
    place.put("quick.zip", &bytes);
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let (into, pieces) = mpsc::channel(1);
        let source = place.source.clone();
        let fetch = tokio::spawn(async move { source.fetch("slow.zip", size, into).await });
        stuck.push((fetch, pieces));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (came, _) = fetched(&*place.source, "quick.zip", size).await;
    assert_eq!(sha256(&came), sha256(&bytes));
    assert_eq!(
        place.source.read("quick.zip", 0, 100_000).await.unwrap(),
        bytes[..100_000]
    );
    for (fetch, mut pieces) in stuck {
        assert!(!fetch.is_finished(), "it did not wait for its receiver");
        let mut came = Vec::new();
        while let Some(piece) = pieces.recv().await {
            came.extend_from_slice(&piece);
        }
        assert_eq!(fetch.await.unwrap(), Ok(size));
        assert_eq!(sha256(&came), sha256(&bytes));
    }
}

async fn renames_and_never_over_another(place: &Place) {
    place.put("a.zip", "a");
    place.dir("processed");
    place.source.rename("a.zip", "processed/a.zip").await.unwrap();
    assert_eq!(place.text("processed/a.zip"), "a");
    assert_eq!(place.names().await, Vec::<String>::new());

    place.put("a.zip", "another");
    expect_error(
        place.source.rename("a.zip", "processed/a.zip").await,
        "taken",
        &["`processed/a.zip`"],
    );
    expect_error(
        place.source.rename("a.zip", "processed").await,
        "taken",
        &["`processed`"],
    );
    symlink("nowhere", place.root.join("dangling")).unwrap();
    expect_error(place.source.rename("a.zip", "dangling").await, "taken", &["`dangling`"]);
    assert_eq!(
        (place.text("a.zip"), place.text("processed/a.zip")),
        ("another".into(), "a".into())
    );

    expect_error(
        place.source.rename("b.zip", "processed/b.zip").await,
        "absent",
        &["`b.zip`"],
    );
    expect_error(
        place.source.rename("a.zip", "absent/a.zip").await,
        "refused",
        &["directory", "not there"],
    );
    assert_eq!(place.text("a.zip"), "another");
}

async fn removes(place: &Place) {
    place.put("a.zip", "a");
    place.source.remove("a.zip").await.unwrap();
    expect_error(place.source.remove("a.zip").await, "absent", &["removing `a.zip`"]);
    place.dir("directory");
    expect_error(place.source.remove("directory").await, "refused", &["`directory`"]);
    assert!(place.root.join("directory").is_dir());
}

async fn makes_directories(place: &Place) {
    for _ in 0..2 {
        place.source.make_dirs("processed/2019/11").await.unwrap();
        assert!(place.root.join("processed/2019/11").is_dir());
    }
    place.source.make_dirs("processed/2019/12").await.unwrap();
    let at_once = join_all((0..20).map(|_| place.source.make_dirs("receipts/of/all"))).await;
    assert!(at_once.iter().all(Result::is_ok), "{at_once:?}");
    place.put("file", "");
    expect_error(place.source.make_dirs("file").await, "refused", &["`file`"]);
    expect_error(place.source.make_dirs("file/below").await, "refused", &["`file"]);
}

async fn writes_whole_and_over(place: &Place) {
    place.dir("receipts");
    for bytes in [noise(0, 0), noise(300_000, 5), noise(10, 6)] {
        place.source.write("receipts/a.receipt.json", &bytes).await.unwrap();
        assert!(std::fs::read(place.root.join("receipts/a.receipt.json")).unwrap() == bytes);
    }
    place.source.write("in_the_root", b"too").await.unwrap();
    assert_eq!(place.text("in_the_root"), "too");
    expect_error(
        place.source.write("absent/a", b"x").await,
        "absent",
        &["writing `absent/a`"],
    );
    // A directory in the way: refused, and what was written beside it is gone.
    expect_error(place.source.write("receipts", b"x").await, "refused", &["`receipts`"]);
    assert_eq!(place.names().await, ["in_the_root"]);
    assert_eq!(std::fs::read_dir(place.root.join("receipts")).unwrap().count(), 1);
}

async fn follows_no_path_out_of_the_root(place: &Place) {
    for path in [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../../x",
        ".",
        "./a",
        "a//b",
        "a/",
        "a\0b",
    ] {
        expect_error(place.source.stat(path).await, "refused", &["below the root"]);
        expect_error(place.source.read(path, 0, 1).await, "refused", &["below the root"]);
        expect_error(fetched(&*place.source, path, 1).await.1, "refused", &["below the root"]);
        expect_error(place.source.rename(path, "x").await, "refused", &["below the root"]);
        expect_error(place.source.rename("x", path).await, "refused", &["below the root"]);
        expect_error(place.source.remove(path).await, "refused", &["below the root"]);
        expect_error(place.source.make_dirs(path).await, "refused", &["below the root"]);
        expect_error(place.source.write(path, b"x").await, "refused", &["below the root"]);
    }
}

async fn takes_any_name(place: &Place) {
    let names = [
        "with blanks .zip",
        "quote'\".zip",
        "-rf",
        "star*?[x]",
        "back\\slash",
        "ünïcödé ✓ 数据.zip",
        "\u{1b}[31mred\r\n",
        "semi;colon$(x)`y`",
        &"long".repeat(60),
    ];
    for name in names {
        place.put(name, name);
    }
    std::fs::write(place.root.join(OsStr::from_bytes(b"not\xffutf\xc3.zip")), "x").unwrap();
    let mut expected: Vec<String> = names.iter().map(ToString::to_string).collect();
    expected.push("not\\xffutf\\xc3.zip".to_string());
    expected.sort();
    assert_eq!(place.names().await, expected);

    place.source.make_dirs("put away").await.unwrap();
    for name in names {
        let (came, _) = fetched(&*place.source, name, 1000).await;
        assert_eq!(came, name.as_bytes());
        let put_away = format!("put away/{name}");
        place.source.rename(name, &put_away).await.unwrap();
        assert_eq!(place.text(&put_away), name);
        place.source.remove(&put_away).await.unwrap();
        expect_error(place.source.remove(&put_away).await, "absent", &[]);
    }
    assert_eq!(place.source.stat("not\\xffutf\\xc3.zip").await, Ok(None));
}

async fn does_many_things_at_once(place: &Place) {
    let files: Vec<(String, Vec<u8>)> = (0..500)
        .map(|index| (format!("{index}.zip"), noise(100 + index * 37, index as u64)))
        .collect();
    for (name, bytes) in &files {
        place.put(name, bytes);
    }
    place.source.make_dirs("processed").await.unwrap();
    let one = |name: String, bytes: Vec<u8>| async move {
        let stat = place.source.stat(&name).await.unwrap().unwrap();
        assert_eq!(stat.size, bytes.len() as u64);
        let end = place.source.read(&name, 50, 64 * 1024).await.unwrap();
        assert!(end == bytes[50..], "{name}");
        let (came, _) = fetched(&*place.source, &name, stat.size).await;
        assert!(came == bytes, "{name}");
        place
            .source
            .write(&format!("{name}.receipt"), b"receipt")
            .await
            .unwrap();
        place.source.rename(&name, &format!("processed/{name}")).await.unwrap();
    };
    join_all(files.iter().map(|(name, bytes)| one(name.clone(), bytes.clone()))).await;
    assert_eq!(place.names().await.len(), 500);
    for (name, bytes) in &files {
        assert!(
            std::fs::read(place.root.join("processed").join(name)).unwrap() == *bytes,
            "{name}"
        );
    }
}

async fn says_that_the_root_is_absent(place: &Place) {
    place.put("a.zip", "a");
    assert_eq!(place.names().await, ["a.zip"]);
    let elsewhere = place.root.with_extension("elsewhere");
    std::fs::rename(&place.root, &elsewhere).unwrap();
    expect_error(
        place.source.list().await,
        "absent",
        &["listing", &place.root.file_name().unwrap().to_string_lossy()],
    );
    std::fs::rename(&elsewhere, &place.root).unwrap();
    assert_eq!(place.names().await, ["a.zip"]);
}
