//! Servers that flood, trickle and lie. No deadline is stretched, no memory filled, no thread left behind, and the process
//! does not end.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use feedgate::config::resolve::{PrivateKey, Secret, SftpSettings};
use feedgate::source::{SftpSource, Source, SourceError};

use super::*;
use crate::house::archives::Archive;
use crate::house::far_end::{FarEnd, Fault as Lie, Op};
use crate::house::faulty::{Fault, FaultyNetwork, Strike, Way};

/// Deadline of sources whose servers are hostile.
const SHORT: Duration = Duration::from_millis(500);

/// What no test here takes, unless something waits for ever.
const FAR_TOO_LONG: Duration = Duration::from_secs(30);

/// A server that sends the same for ever, as fast as it goes or with pauses.
fn endless(bytes: &'static [u8], pause: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || send_for_ever(client.expect("a client"), bytes, pause));
        }
    });
    port
}

fn send_for_ever(mut client: TcpStream, bytes: &[u8], pause: Duration) {
    while client.write_all(bytes).is_ok() {
        std::thread::sleep(pause);
    }
}

/// Leads to a server that nobody gets into.
fn settings(port: u16) -> SftpSettings {
    SftpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        user: "acme".to_owned(),
        root: "/".to_owned(),
        password: Some(Secret::new("secret of acme")),
        private_key: None::<PrivateKey>,
        agent: false,
        host_keys: vec!["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()],
        known_hosts: None,
    }
}

fn source_over(far: &FarEnd, name: &str) -> SftpSource {
    let settings = SftpSettings {
        host_keys: vec![far.host_key()],
        password: Some(Secret::new(far.password())),
        ..settings(far.port())
    };
    SftpSource::new(name, &settings, SHORT)
}

/// Threads of this process that belong to this source.
fn threads_of(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let is_of_it = |comm: String| comm.trim() == format!("sftp {name}");
    tasks
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(is_of_it))
        .count()
}

/// The connection is given up, for this reason, and its thread with it.
async fn assert_lost<T: std::fmt::Debug>(name: &str, outcome: Result<T, SourceError>, words: &str) {
    match outcome {
        Err(error @ SourceError::Lost { .. }) => {
            assert!(error.to_string().contains(words), "`{error}` does not say `{words}`");
        }
        other => panic!("{other:?}, not a lost connection"),
    }
    let patience = Instant::now() + FAR_TOO_LONG;
    while threads_of(name) > 0 {
        assert!(Instant::now() < patience, "a thread is left behind");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_without_end_before_the_banner() {
    for (name, bytes, pause) in [
        ("h-lines", &b"welcome to this server\r\n"[..], Duration::ZERO),
        ("h-blank", b"\r\n\r\n\r\n\r\n", Duration::ZERO),
        ("h-long", b"SSH-2.0-without-an-end-of-line-", Duration::ZERO),
        ("h-drip", b"S", Duration::from_millis(50)),
        ("h-slow", b"hello\r\n", Duration::from_millis(50)),
    ] {
        let source = SftpSource::new(name, &settings(endless(bytes, pause)), SHORT);
        let began = Instant::now();
        assert_lost(name, source.list().await, "connecting to").await;
        assert!(began.elapsed() < FAR_TOO_LONG, "{name}: {:?}", began.elapsed());
    }
}

/// `feedgate keys` asks servers of which nothing is known yet.
#[test]
fn a_server_asked_for_its_keys_that_never_stops_greeting() {
    let port = endless(b"welcome\r\n", Duration::ZERO);
    let began = Instant::now();
    let asked = feedgate::source::host_keys("127.0.0.1", port, SHORT);
    assert!(asked.unwrap_err().to_string().contains("not done within 500ms"));
    assert!(began.elapsed() < FAR_TOO_LONG);
}

/// With AES-CTR and a MAC over the plain text, libssh2 believes a length before it can be checked.
#[test]
fn a_flipped_bit_in_a_length_costs_a_connection_and_not_the_process() {
    let worlds = [
        "Ciphers aes128-ctr\nMACs hmac-sha2-256\n",
        "Ciphers aes256-gcm@openssh.com\n",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com\n",
        "Ciphers chacha20-poly1305@openssh.com\n",
    ]
    .map(|lines| std::thread::spawn(move || flip_bits_of_a_length(lines)));
    for world in worlds {
        world.join().expect("a world that ended well");
    }
}

fn flip_bits_of_a_length(lines: &str) {
    let sshd = Sshd::start_with(lines);
    let network = FaultyNetwork::to(sshd.port());
    let here = |port: u16| format!("127.0.0.1:{port}");
    let keys = sshd.toml().replace(&here(sshd.port()), &here(network.port()));
    let mut gate = Gate::new();
    gate.source_toml("acme", &format!("{keys}timeout = \"3s\"\n"));
    gate.destination_sqlite("events");
    let daemon = gate.run();
    wait_until_well(&gate);
    let length = network.first_encrypted().expect("a connection that came up");
    for (times, bit) in [0, 2, 5].into_iter().enumerate() {
        let strike = Strike {
            connection: 0,
            way: Way::ToClient,
            offset: length + 3,
            fault: Fault::Flip(bit),
        };
        network.arm(vec![strike]);
        wait_until("the fault", || network.struck() == 1);
        let digits = format!("2026020100000{times}");
        let (name, bytes) = Archive::feed(&digits, &format!(r#"[{{"event":"Purchase","id":"{digits}"}}]"#));
        fs::write(sshd.root().join(name), bytes).unwrap();
        wait_for_events(&gate, times + 1);
    }
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_answers() {
    let number = |value: u32| value.to_be_bytes();
    let text = |bytes: &[u8]| [&number(bytes.len() as u32)[..], bytes].concat();
    let forged = |kind: u8, body: Vec<u8>| Lie::Forged {
        kind,
        body,
        after: Duration::ZERO,
    };
    for (op, lie, words) in [
        (
            Op::Stat,
            Lie::Rubbish([&number(9)[..], &[101], &number(4_000_000), &number(0)].concat()),
            "no request",
        ),
        (Op::Stat, Lie::Rubbish(number(300_000).to_vec()), "300000 bytes"),
        (Op::Stat, Lie::Rubbish(b"Last login: yesterday".to_vec()), "Last login"),
        (
            Op::Stat,
            forged(103, text(b"data where attributes should be")),
            "31 bytes where 0",
        ),
        (Op::Stat, forged(102, text(&[b'h'; 300])), "handle of 300"),
        (Op::Stat, forged(66, Vec::new()), "unknown type 66"),
        (Op::Read, forged(103, text(&[0; 200])), "200 bytes where 100"),
        (Op::Read, forged(104, number(1).to_vec()), "early"),
        (
            Op::RealPath,
            forged(
                104,
                [&number(1)[..], &text(&[b'a'; 5000]), &text(b""), &number(0)].concat(),
            ),
            "5000 bytes",
        ),
    ] {
        let far = FarEnd::start();
        far.upload("a.zip", &[7; 1000]);
        far.on(op, 1, lie.clone());
        let source = source_over(&far, "h-lies");
        let outcome = match op {
            Op::Read => source.read("a.zip", 0, 100).await.map(|_| ()),
            _ => source.stat("a.zip").await.map(|_| ()),
        };
        assert_lost("h-lies", outcome, words).await;
        let again = source.stat("a.zip").await.expect("a connection dialled anew");
        assert_eq!(again.expect("the file").size, 1000, "after {words}");
        source.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_without_end() {
    let number = |value: usize| (value as u32).to_be_bytes();
    let names = |count: usize, name: &[u8]| {
        let one = [&number(name.len())[..], name, &number(0), &number(0)].concat();
        [&number(count)[..], &one.repeat(count)].concat()
    };
    let forged = |body: Vec<u8>, after: Duration| Lie::Forged { kind: 104, body, after };
    // Many names, and long ones: what is held has an end.
    for body in [names(15_000, b"a"), names(60, &[b'a'; 4000])] {
        let far = FarEnd::start();
        far.always(Op::ReadDir, forged(body, Duration::ZERO));
        let source = SftpSource::new("h-names", &source_settings(&far), FAR_TOO_LONG);
        let refused = source.list().await.unwrap_err();
        assert!(refused.to_string().contains("move some away"), "{refused}");
        source.close().await;
    }
    // One name at a time, each within the deadline.
    let far = FarEnd::start();
    far.always(Op::ReadDir, forged(names(1, b"a"), SHORT / 10));
    let source = source_over(&far, "h-one-name");
    let began = Instant::now();
    assert_lost("h-one-name", source.list().await, "not done within").await;
    assert!(began.elapsed() < FAR_TOO_LONG);
}

fn source_settings(far: &FarEnd) -> SftpSettings {
    SftpSettings {
        host_keys: vec![far.host_key()],
        password: Some(Secret::new(far.password())),
        ..settings(far.port())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_at_a_time_each_within_the_deadline() {
    let far = FarEnd::start();
    far.upload("a.zip", &[7; 1000]);
    let byte = [&1_u32.to_be_bytes()[..], &[7]].concat();
    let lie = Lie::Forged {
        kind: 103,
        body: byte,
        after: SHORT / 10,
    };
    far.always(Op::Read, lie);
    let source = source_over(&far, "h-bytes");
    let began = Instant::now();
    assert_lost("h-bytes", source.read("a.zip", 0, 1000).await, "not done within 4s").await;
    let (into, mut pieces) = tokio::sync::mpsc::channel(1);
    let (outcome, _) = tokio::join!(source.fetch("a.zip", 1000, into), async {
        while pieces.recv().await.is_some() {}
    });
    assert_lost("h-bytes", outcome, "not done within 4s").await;
    assert!(began.elapsed() < FAR_TOO_LONG);
}

/// A server that never says that it has closed a file keeps its place taken; one that drips an answer besides looks alive.
/// Whoever waits for a place waits no longer than for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_never_given_back() {
    let far = FarEnd::start();
    far.upload("a.zip", b"abc");
    far.always(Op::Close, Lie::LoseReply);
    let source = SftpSource::new("h-places", &source_settings(&far), SHORT * 4);
    let mut outcome = Ok(Vec::new());
    for reading in 0..1000 {
        if reading == 100 {
            far.on(Op::Close, 1, Lie::Drip(Duration::from_millis(300)));
        }
        outcome = tokio::time::timeout(FAR_TOO_LONG, source.read("a.zip", 0, 3))
            .await
            .expect("no waiting without an end");
        if outcome.is_err() {
            break;
        }
    }
    assert_lost("h-places", outcome, "reading `a.zip`").await;
}

/// Packets that are no answers, without end: nobody waits for anything, and still the connection does not last.
#[tokio::test(flavor = "multi_thread")]
async fn packets_that_nobody_asked_for() {
    let far = FarEnd::start();
    far.upload("a.zip", b"abc");
    let source = SftpSource::new("h-flood", &source_settings(&far), FAR_TOO_LONG);
    far.on(Op::Stat, 1, Lie::Flood);
    // Answered or not: it is all the same to a server that floods.
    source.stat("a.zip").await.ok();
    let patience = Instant::now() + FAR_TOO_LONG;
    while threads_of("h-flood") > 0 {
        assert!(Instant::now() < patience, "the connection lasts");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(source.stat("a.zip").await.unwrap().unwrap().size, 3, "dialled anew");
}
