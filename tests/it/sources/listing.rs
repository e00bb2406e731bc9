//! Names over SFTP: many READDIRs in flight on one handle, and servers that make something of their own of that.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use feedgate::config::resolve::{Secret, SftpSettings};
use feedgate::source::{SftpSource, Source, SourceError};

use super::{TIMEOUT, expect_error};
use crate::house::far_end::{FarEnd, Fault, Op, StatusCode};
use crate::house::sshd::Sshd;

/// A server with so many archives, a hundred names to an answer, and a connection that is up.
async fn far_end_with(archives: usize) -> (FarEnd, SftpSource, BTreeSet<String>) {
    let far = FarEnd::start();
    let names: BTreeSet<String> = (0..archives).map(name).collect();
    for name in &names {
        far.upload(name, b"");
    }
    let settings = SftpSettings {
        host: "127.0.0.1".to_string(),
        port: far.port(),
        user: "acme".to_string(),
        root: ".".to_string(),
        password: Some(Secret::new(far.password())),
        private_key: None,
        agent: false,
        host_keys: vec![far.host_key()],
        known_hosts: None,
    };
    let source = SftpSource::new("acme", &settings, TIMEOUT);
    source.stat("nothing").await.unwrap();
    far.forget();
    (far, source, names)
}

fn name(index: usize) -> String {
    format!("event_history_2019{index:010}.json.zip")
}

/// The names of a listing, each there once.
fn names_of(listed: Result<Vec<feedgate::source::ListedFile>, SourceError>) -> BTreeSet<String> {
    let files = listed.unwrap();
    let names: BTreeSet<String> = files.iter().map(|file| file.name.clone()).collect();
    assert_eq!(names.len(), files.len(), "a name was listed twice");
    names
}

#[tokio::test]
async fn ten_thousand_names_are_all_there_once() {
    let sshd = Sshd::start();
    let names: BTreeSet<String> = (0..10_000).map(name).collect();
    for name in &names {
        fs::write(sshd.root().join(name), "").unwrap();
    }
    let source = SftpSource::new("acme", &sshd.settings(), TIMEOUT);
    for _ in 0..2 {
        assert_eq!(names_of(source.list().await), names);
    }
}

#[tokio::test]
async fn the_next_names_are_asked_for_before_the_first_have_come() {
    let (far, source, _) = far_end_with(1).await;
    far.on(Op::ReadDir, 1, Fault::LoseReply);
    let watched = async {
        let patience = Instant::now() + Duration::from_secs(10);
        while far.count(Op::ReadDir) < 4 {
            assert!(Instant::now() < patience, "one at a time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        listed = source.list() => panic!("without its first answer: {listed:?}"),
        () = watched => {}
    }
}

#[tokio::test]
async fn answers_that_overtake_each_other() {
    let (far, source, names) = far_end_with(250).await;
    for (nth, delay) in [(1, 60), (2, 40), (3, 20)] {
        far.on(Op::ReadDir, nth, Fault::Delay(Duration::from_millis(delay)));
    }
    assert_eq!(names_of(source.list().await), names);
}

#[tokio::test]
async fn the_end_told_before_the_last_names() {
    let (far, source, names) = far_end_with(250).await;
    far.on(Op::ReadDir, 1, Fault::Answer(StatusCode::Eof));
    assert_eq!(names_of(source.list().await), names);
    assert_eq!(far.count(Op::ReadDir), 4, "nothing is asked for beyond the end");
}

#[tokio::test]
async fn a_directory_that_is_closed_at_its_end() {
    let (far, source, names) = far_end_with(50).await;
    far.on(Op::ReadDir, 4, Fault::Answer(StatusCode::Failure));
    assert_eq!(names_of(source.list().await), names);
    assert_eq!(far.count(Op::OpenDir), 1, "the listing was whole");
}

#[tokio::test]
async fn a_server_that_takes_one_request_at_a_time() {
    let (far, source, names) = far_end_with(250).await;
    far.on(Op::ReadDir, 2, Fault::Answer(StatusCode::Failure));
    assert_eq!(names_of(source.list().await), names);
    assert_eq!(far.count(Op::OpenDir), 2, "read anew from its beginning");
}

#[tokio::test]
async fn a_directory_that_may_not_be_read() {
    let (far, source, _) = far_end_with(1).await;
    far.always(Op::ReadDir, Fault::Answer(StatusCode::PermissionDenied));
    expect_error(source.list().await, "refused", &["listing", "permission denied"]);
    assert_eq!(far.connections(), 1, "and the connection stays");
}

/// A name may have thousands of letters: a server that goes on and on is stopped by the bytes, long before it has told as many
/// names as are too many.
#[tokio::test]
async fn a_listing_of_giant_names_is_given_up() {
    let reply = |kind: u8, body: &[u8]| {
        let len = (body.len() + 1) as u16;
        [&len.to_be_bytes()[..], &[kind], body].concat()
    };
    let text = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    let named = |count: u8, name: &[u8]| {
        let one = [&text(name)[..], &text(b"-rw-r--r--"), &[0; 4]].concat();
        reply(104, &[&[0, 0, 0, count], &one.repeat(count.into())[..]].concat())
    };
    let listing = named(15, &[b'a'; 4_000]).repeat(1_300);
    let script = [&[0], &named(1, b"/in")[..], &reply(102, &text(b"handle")), &listing].concat();
    let source = feedgate::fuzzing::scripted(&script, TIMEOUT)
        .await
        .expect("the root is told");
    expect_error(
        source.list().await,
        "refused",
        &["listing `/in`", "64 MiB", "move some away"],
    );
}
