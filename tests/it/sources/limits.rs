//! Limits that a server has and does not tell: handles, requests at a time, bytes in an answer. They cost time, and nothing
//! else.

use std::fs;
use std::time::{Duration, Instant};

use feedgate::config::resolve::SftpSettings;
use feedgate::source::{SftpSource, Source, SourceError};
use futures_util::future::join_all;

use super::{TIMEOUT, expect_error, fetched, noise};
use crate::house::proxy::Proxy;
use crate::house::sshd::Sshd;

/// So many files are read at a time, and as many receipts written.
const FILES: usize = 300;

/// An sftp-server that runs out of file descriptors, and does not tell its limits.
fn sshd_of_few_files() -> Sshd {
    Sshd::start_with("Subsystem sftp ulimit -n 20; exec /usr/lib/openssh/sftp-server -P limits")
}

fn put_files(sshd: &Sshd) {
    for index in 0..FILES {
        fs::write(sshd.root().join(format!("{index}.zip")), noise(500, index as u64)).unwrap();
    }
}

/// What a turn does with many small archives, all at a time.
async fn read_and_write_all(source: &SftpSource) -> Vec<Result<(), SourceError>> {
    let one = |index: usize| async move {
        let name = format!("{index}.zip");
        let end = source.read(&name, 0, 1000).await?;
        assert!(end == noise(500, index as u64), "{name}");
        let (bytes, outcome) = fetched(source, &name, 500).await;
        outcome?;
        assert!(bytes == end, "{name}");
        source.write(&format!("{name}.receipt"), b"receipt").await
    };
    join_all((0..FILES).map(one)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn few_handles() {
    let sshd = sshd_of_few_files();
    put_files(&sshd);
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    for done in read_and_write_all(&source).await {
        done.unwrap();
    }
    assert_eq!(source.list().await.unwrap().len(), 2 * FILES);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_handles() {
    let sshd = Sshd::odd("extensions= handles=3");
    put_files(&sshd);
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    // As long as hundreds crowd in, some may be refused: what the first time teaches, the second shows.
    read_and_write_all(&source).await;
    for done in read_and_write_all(&source).await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_opened_is_said_to_be_so() {
    let sshd = Sshd::odd("refuse=3:4");
    put_files(&sshd);
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    let began = Instant::now();
    for refused in join_all((0..FILES).map(|_| source.read("1.zip", 0, 1))).await {
        expect_error(
            refused,
            "refused",
            &["reading `1.zip`", "the server refuses", "as odd as it gets"],
        );
    }
    assert!(
        began.elapsed() < TIMEOUT,
        "nobody waited for others to close: {:?}",
        began.elapsed()
    );
}

/// Looks at all files until that goes, and says how many connections it took.
async fn connections_until_all_are_looked_at(manners: &str) -> usize {
    let sshd = Sshd::odd(manners);
    put_files(&sshd);
    let proxy = Proxy::to(sshd.port());
    let settings = SftpSettings {
        port: proxy.port(),
        ..sshd.settings()
    };
    let source = SftpSource::new("acme", &settings, Duration::from_secs(6));
    let all = || async {
        source.list().await?;
        let names: Vec<String> = (0..FILES).map(|index| format!("{index}.zip")).collect();
        let looks = join_all(names.iter().map(|name| source.stat(name))).await;
        looks.into_iter().collect::<Result<Vec<_>, _>>()
    };
    for _ in 0..20 {
        if all().await.is_ok() {
            let connections = proxy.accepted();
            let mut late = 0;
            for _ in 0..3 {
                late += usize::from(all().await.is_err());
            }
            // A busy machine may be late once.
            assert!(
                late <= 1 && proxy.accepted() <= connections + late,
                "it is not well yet"
            );
            return connections;
        }
    }
    panic!("with `{manners}` nothing ever gets through");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_at_a_time() {
    let (stalls, hangs_up, one_alone) = tokio::join!(
        connections_until_all_are_looked_at("extensions= unanswered=64"),
        connections_until_all_are_looked_at("extensions= busy=40"),
        connections_until_all_are_looked_at("extensions= unanswered=1"),
    );
    // Two for each lesson, and there are three lessons at most; a busy machine may lose one more to its deadline.
    let most = stalls.max(hangs_up).max(one_alone);
    assert!(most <= 12, "{stalls}, {hangs_up}, {one_alone} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_bytes_at_a_time() {
    for short in [1000, 4096, 32 * 1024] {
        let sshd = Sshd::odd(&format!("short={short}"));
        let bytes = noise(1_000_000, 1);
        fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
        let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
        for _ in 0..2 {
            let (came, outcome) = fetched(&source, "a.zip", 1_000_000).await;
            assert_eq!(outcome, Ok(1_000_000));
            assert!(came == bytes);
        }
        assert!(source.read("a.zip", 900_000, 200_000).await.unwrap() == bytes[900_000..]);
    }
}

/// Over a distant line the rest of each answer must not be fetched for by a journey of its own: 3 MB in answers of 4 KiB are
/// 732 of them, and each takes 40 ms.
#[tokio::test(flavor = "multi_thread")]
async fn few_bytes_at_a_time_from_far_away() {
    let sshd = Sshd::odd("short=4096");
    let bytes = noise(3_000_000, 2);
    fs::write(sshd.root().join("a.zip"), &bytes).unwrap();
    let proxy = Proxy::to(sshd.port());
    let settings = SftpSettings {
        port: proxy.port(),
        ..sshd.settings()
    };
    let source = SftpSource::new("acme", &settings, TIMEOUT);
    source.list().await.unwrap();
    proxy.delay(Duration::from_millis(20));
    let began = Instant::now();
    let (came, outcome) = fetched(&source, "a.zip", 3_000_000).await;
    assert_eq!(outcome, Ok(3_000_000));
    assert!(came == bytes);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}
