//! Servers that stop, stall, restart and refuse; verbs that are given up; and what must not be left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use feedgate::config::resolve::SftpSettings;
use feedgate::source::{LocalSource, SftpSource, Source};
use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{TIMEOUT, expect_error, fetched, noise, sha256};
use crate::house::proxy::Proxy;
use crate::house::sshd::Sshd;

/// Deadline of sources whose servers stall.
const SHORT: Duration = Duration::from_secs(1);

fn through(proxy: &Proxy, sshd: &Sshd) -> SftpSettings {
    SftpSettings {
        port: proxy.port(),
        ..sshd.settings()
    }
}

/// Threads of this process that belong to this source.
fn threads_of(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let named = |comm: String| comm.trim() == format!("sftp {name}");
    tasks
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(named))
        .count()
}

/// Sockets of anybody here that are connected to this port, or were until the other side closed.
fn sockets_to(port: u16) -> usize {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let there = format!("0100007F:{port:04X}");
    let open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2] == there && matches!(fields[3], "01" | "08")
    };
    table.lines().skip(1).filter(open).count()
}

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dialled_before_the_first_verb() {
    let sshd = Sshd::start();
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("acme", &through(&proxy, &sshd), TIMEOUT);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(proxy.accepted(), 0);
    // And a hundred verbs at once dial once.
    let listed = join_all((0..100).map(|_| source.list())).await;
    assert!(listed.iter().all(Result::is_ok));
    assert_eq!(proxy.accepted(), 1);
    source.close().await;
    assert!(source.list().await.is_ok(), "a closed source is dialled anew");
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there() {
    let sshd = Sshd::start();
    let settings = sshd.settings();
    drop(sshd);
    let source = SftpSource::new("acme", &settings, TIMEOUT);
    expect_error(
        source.list().await,
        "lost",
        &["connecting to", &format!("127.0.0.1:{}", settings.port), "refused"],
    );
    let nowhere = SftpSettings {
        host: "no-such-host.invalid".into(),
        ..settings
    };
    let source = SftpSource::new("acme", &nowhere, TIMEOUT);
    expect_error(source.list().await, "lost", &["no-such-host.invalid", "looking up"]);
}

/// A hundred verbs wait for one dial and share its failure: they do not fail one deadline after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_says_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sshd = Sshd::start();
    let settings = SftpSettings {
        port: listener.local_addr().unwrap().port(),
        ..sshd.settings()
    };
    let source = SftpSource::new("mute", &settings, SHORT);
    let started = Instant::now();
    for outcome in join_all((0..100).map(|_| source.list())).await {
        expect_error(outcome, "lost", &["connecting to"]);
    }
    assert!(started.elapsed() < SHORT * 3, "{:?}", started.elapsed());
    wait_until("the dialling thread ends", || threads_of("mute") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_ssh_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let sshd = Sshd::start();
    let settings = SftpSettings {
        port: listener.local_addr().unwrap().port(),
        ..sshd.settings()
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[31m").ok();
        }
    });
    let source = SftpSource::new("acme", &settings, SHORT);
    expect_error(source.list().await, "lost", &["handshake"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_restarts_between_verbs() {
    let mut sshd = Sshd::start();
    fs::write(sshd.root().join("a.zip"), "a").unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    for _ in 0..3 {
        assert_eq!(source.list().await.unwrap().len(), 1);
        sshd.stop();
        // Noticed while idle, so that the next verb dials at once; what is down is said to be down.
        wait_until("the session is found dead", || {
            threads_of("acme") == 0 || sshd.port() == 0
        })
        .await;
        expect_error(source.list().await, "lost", &["refused"]);
        sshd.restart();
        assert_eq!(source.list().await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_dies_in_the_middle_of_a_fetch() {
    let mut sshd = Sshd::start();
    let bytes = noise(30_000_000, 7);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let (into, mut pieces) = mpsc::channel(1);
    let fetch = source.fetch("a.zip", 30_000_000, into);
    let strike = async {
        let mut came = Vec::new();
        for _ in 0..3 {
            came.extend(pieces.recv().await.unwrap());
        }
        sshd.stop();
        while let Some(piece) = pieces.recv().await {
            came.extend(piece);
        }
        came
    };
    let (outcome, came) = tokio::join!(fetch, strike);
    expect_error(outcome, "lost", &["fetching `a.zip`"]);
    assert!(
        came.len() < bytes.len() && came == bytes[..came.len()],
        "what came is a beginning of the file"
    );
    sshd.restart();
    let (came, _) = fetched(&source, "a.zip", 30_000_000).await;
    assert_eq!(sha256(&came), sha256(&bytes));
}

/// Cut at many places: in the handshake, in the login, in the listing, in the file.
#[tokio::test(flavor = "multi_thread")]
async fn the_connection_is_cut_anywhere() {
    let sshd = Sshd::start();
    let bytes = noise(300_000, 8);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let proxy = Proxy::to(sshd.port());
    for cut_after in [
        1, 21, 100, 1_100, 1_500, 2_000, 2_300, 2_500, 2_700, 2_900, 3_100, 3_300, 10_000, 100_000, 300_000,
    ] {
        let source = SftpSource::new("cut", &through(&proxy, &sshd), TIMEOUT);
        proxy.cut_after(cut_after);
        let started = Instant::now();
        let mut failures = 0;
        loop {
            let (came, outcome) = fetched(&source, "a.zip", 300_000).await;
            match outcome {
                Ok(_) => {
                    assert!(came == bytes);
                    break;
                }
                Err(error) => expect_error::<()>(Err(error), "lost", &[]),
            }
            failures += 1;
            assert!(failures < 3, "cut after {cut_after}: not recovered");
        }
        assert!(
            started.elapsed() < TIMEOUT / 2,
            "cut after {cut_after}: {:?}",
            started.elapsed()
        );
    }
    wait_until("the threads end", || threads_of("cut") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls() {
    let sshd = Sshd::start();
    let bytes = noise(20_000_000, 9);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("stall", &through(&proxy, &sshd), SHORT);
    source.list().await.unwrap();

    proxy.stall();
    let started = Instant::now();
    let (list, stat, read, write) = tokio::join!(
        source.list(),
        source.stat("a.zip"),
        source.read("a.zip", 0, 10),
        source.write("b", b"x")
    );
    expect_error(list, "lost", &["1s"]);
    expect_error(stat, "lost", &["1s"]);
    expect_error(read, "lost", &["1s"]);
    expect_error(write, "lost", &["1s"]);
    assert!(started.elapsed() < SHORT * 3, "{:?}", started.elapsed());
    wait_until("the pump ends though the server never closed", || {
        threads_of("stall") == 0
    })
    .await;

    // Still stalled: the dial has a deadline too.
    let started = Instant::now();
    expect_error(source.list().await, "lost", &["connecting to"]);
    assert!(started.elapsed() < SHORT * 3, "{:?}", started.elapsed());

    proxy.flow();
    assert!(source.list().await.is_ok());

    // In the middle of a fetch.
    let (into, mut pieces) = mpsc::channel(1);
    let fetch = source.fetch("a.zip", 20_000_000, into);
    let stall = async {
        pieces.recv().await.unwrap();
        proxy.stall();
        while pieces.recv().await.is_some() {}
    };
    let (outcome, ()) = tokio::join!(fetch, stall);
    expect_error(outcome, "lost", &["fetching `a.zip`", "1s"]);
    proxy.flow();
    let (came, _) = fetched(&source, "a.zip", 20_000_000).await;
    assert_eq!(sha256(&came), sha256(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_process_that_is_frozen() {
    let sshd = Sshd::start();
    let source = SftpSource::new("acme", &sshd.settings(), SHORT);
    source.list().await.unwrap();
    sshd.freeze();
    expect_error(source.list().await, "lost", &["1s"]);
    expect_error(source.list().await, "lost", &["connecting to"]);
    sshd.thaw();
    assert!(source.list().await.is_ok());
}

/// A receiver that takes its time is not a server that stalls.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_slower_than_the_deadline() {
    let sshd = Sshd::start();
    let bytes = noise(12_000_000, 10);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), SHORT);
    let (into, mut pieces) = mpsc::channel(1);
    let fetch = source.fetch("a.zip", 12_000_000, into);
    let sip = async {
        let mut came = pieces.recv().await.unwrap();
        tokio::time::sleep(SHORT * 3).await;
        while let Some(piece) = pieces.recv().await {
            came.extend(piece);
        }
        came
    };
    let (outcome, came) = tokio::join!(fetch, sip);
    assert_eq!(outcome, Ok(12_000_000));
    assert_eq!(sha256(&came), sha256(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reconnections_leave_nothing_behind() {
    let sshd = Sshd::start();
    fs::write(sshd.root().join("a.zip"), noise(1_000_000, 11)).unwrap();
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("again", &through(&proxy, &sshd), TIMEOUT);
    for round in 0..100 {
        if source.list().await.is_err() {
            source.list().await.unwrap();
        }
        match round % 3 {
            0 => proxy.cut(),
            1 => source.close().await,
            _ => {
                let (into, pieces) = mpsc::channel(1);
                drop(pieces);
                expect_error(source.fetch("a.zip", 1_000_000, into).await, "stopped", &[]);
                proxy.cut();
            }
        }
        assert!(threads_of("again") <= 2);
    }
    assert!(proxy.accepted() >= 100, "{}", proxy.accepted());
    assert!(sockets_to(proxy.port()) <= 2, "{}", sockets_to(proxy.port()));
    source.close().await;
    wait_until("the threads end", || threads_of("again") == 0).await;
    wait_until("the sockets are closed", || sockets_to(proxy.port()) == 0).await;
}

/// Verbs that nobody waits for any more close what they opened, and remove what they began to write.
#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_are_given_up_leave_no_handle_open() {
    let sshd = Sshd::start();
    for index in 0..50 {
        fs::write(sshd.root().join(format!("{index}.zip")), noise(100_000, index)).unwrap();
    }
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("acme", &through(&proxy, &sshd), TIMEOUT);
    source.list().await.unwrap();
    proxy.delay(Duration::from_millis(5));
    let receipt = noise(200_000, 12);
    for round in 0..60u64 {
        let patience = Duration::from_millis(round % 30);
        let names: Vec<String> = (0..50).map(|index| format!("{index}.zip")).collect();
        let reads = join_all(names.iter().map(|name| source.read(name, 0, 50_000)));
        let write = source.write("receipt", &receipt);
        tokio::time::timeout(patience, async { tokio::join!(reads, write, source.list()) })
            .await
            .ok();
    }
    proxy.delay(Duration::ZERO);
    let names: Vec<String> = source.list().await.unwrap().into_iter().map(|file| file.name).collect();
    assert!(names.iter().all(|name| !name.starts_with(".feedgate-")), "{names:?}");
    assert_eq!(proxy.accepted(), 1, "it was one connection all along");
    wait_until("the server has nothing open", || sshd.open_files() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_may_not_do_concerns_the_file_alone() {
    let sshd = Sshd::with_password();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    for name in ["closed.zip", "open.zip"] {
        fs::write(sshd.root().join(name), name).unwrap();
    }
    fs::set_permissions(sshd.root().join("closed.zip"), fs::Permissions::from_mode(0o600)).unwrap(); // root's
    fs::create_dir(sshd.root().join("theirs")).unwrap(); // root's as well
    let words = ["ermission denied"];
    expect_error(source.read("closed.zip", 0, 1).await, "refused", &words);
    expect_error(fetched(&source, "closed.zip", 1).await.1, "refused", &words);
    expect_error(source.rename("open.zip", "theirs/open.zip").await, "refused", &words);
    expect_error(source.write("theirs/receipt", b"x").await, "refused", &words);
    expect_error(source.make_dirs("theirs/below").await, "refused", &words);
    assert_eq!(source.read("open.zip", 0, 100).await.unwrap(), b"open.zip");
    source.rename("open.zip", "moved.zip").await.unwrap();
    assert_eq!(source.list().await.unwrap().len(), 2);
}

/// OpenSSH asks for new keys in the middle of things; with a limit of a megabyte it does so fifty times in this file.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exchanged_again_in_the_middle_of_a_fetch() {
    let sshd = Sshd::start_with("RekeyLimit 1M");
    let bytes = noise(50_000_000, 13);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let receipt = noise(3_000_000, 14);
    let (fetched, written) = tokio::join!(fetched(&source, "a.zip", 50_000_000), source.write("receipt", &receipt));
    assert_eq!(fetched.1, Ok(50_000_000));
    assert_eq!(sha256(&fetched.0), sha256(&bytes));
    assert_eq!(written, Ok(()));
    assert!(fs::read(sshd.root().join("receipt")).unwrap() == receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_over_a_distant_line() {
    let sshd = Sshd::start();
    for index in 0..500 {
        fs::write(sshd.root().join(format!("{index}.zip")), noise(3_000, index)).unwrap();
    }
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("acme", &through(&proxy, &sshd), TIMEOUT);
    source.list().await.unwrap();
    proxy.delay(Duration::from_millis(20));
    let started = Instant::now();
    let read = join_all((0..500).map(|index| {
        let (source, name) = (&source, format!("{index}.zip"));
        async move { source.read(&name, 0, 3_000).await.unwrap().len() }
    }));
    assert!(read.await.iter().all(|len| *len == 3_000));
    // One after the other these are a thousand round trips of 40 ms.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

/// On a slow line everything waits behind what was asked for before. No more is asked for than the deadline of the others
/// survives.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_not_a_dead_one() {
    let sshd = Sshd::start();
    let bytes = noise(4_000_000, 15);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let proxy = Proxy::to(sshd.port());
    let source = SftpSource::new("acme", &through(&proxy, &sshd), Duration::from_secs(4));
    source.list().await.unwrap();
    proxy.rate(400_000);
    let others = async {
        for _ in 0..20 {
            source.stat("a.zip").await.unwrap();
            assert_eq!(source.read("a.zip", 1000, 1000).await.unwrap(), bytes[1000..2000]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ((came, outcome), ()) = tokio::join!(fetched(&source, "a.zip", 4_000_000), others);
    assert_eq!(outcome, Ok(4_000_000));
    assert_eq!(sha256(&came), sha256(&bytes));
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_wakes_when_something_comes_and_not_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("drop");
    fs::create_dir(&root).unwrap();
    let source = LocalSource::new("acme", &root, TIMEOUT);
    let wakes = |what: &'static str| {
        let changed = tokio::time::timeout(Duration::from_secs(5), source.changed());
        async move { changed.await.unwrap_or_else(|_| panic!("not woken: {what}")) }
    };
    let rests = || async {
        while tokio::time::timeout(Duration::from_millis(300), source.changed())
            .await
            .is_ok()
        {}
    };
    wakes("the watch was set, and what came before it was seen by nobody").await;
    rests().await;
    fs::write(root.join("a.zip"), "a").unwrap();
    wakes("a file came").await;
    rests().await;
    source.list().await.unwrap();
    source.read("a.zip", 0, 1).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), source.changed())
            .await
            .is_err(),
        "woken by our own reading"
    );
    tokio::join!(wakes("a file was renamed"), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fs::rename(root.join("a.zip"), root.join("b.zip")).unwrap();
    });
    rests().await;

    fs::remove_dir_all(&root).unwrap();
    rests().await;
    expect_error(source.list().await, "absent", &[]);
    fs::create_dir(&root).unwrap();
    wakes("the directory came back").await;
    rests().await;
    fs::write(root.join("c.zip"), "c").unwrap();
    wakes("a file came into the new directory").await;

    let aside = dir.path().join("aside");
    rests().await;
    fs::rename(&root, &aside).unwrap();
    fs::create_dir(&root).unwrap();
    wakes("another directory took its place").await;
    rests().await;
    fs::write(root.join("d.zip"), "d").unwrap();
    wakes("a file came into the other directory").await;
    source.close().await;
}

/// More bytes than were asked for end the connection, and whoever waits is told so, however soon it wakes.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_told_as_what_it_is() {
    // Nothing beyond version 3; then, in place of the root, four bytes of data.
    let script = [&[0, 0, 9, 103][..], &[0, 0, 0, 4], b"data"].concat();
    for _ in 0..200 {
        let outcome = feedgate::fuzzing::scripted(&script, TIMEOUT).await;
        expect_error(outcome.map(|_| ()), "lost", &["4 bytes where 0 were asked for"]);
    }
}
