//! What is sent.

use feedgate::config::resolve::{Authorization, HttpCompression, HttpFormat, HttpSettings, Secret};
use feedgate::destination::receiver::{Added, Answer, Call};
use sha2::{Digest, Sha256};

use super::{KEY, event, fill, opened, post_three, settings};
use crate::house::http_server::HttpServer;

/// A message, as it must be on the wire.
fn message(index: u64, body: &str) -> String {
    format!(
        "{{\"id\":\"{KEY}-{index}\",\"source\":\"acme\",\"import\":7,\
         \"archive\":\"event_history_20191118170500.json.zip\",\"index\":{index},\"event\":\"Completed Order\",\
         \"time\":\"2019-11-18T17:05:00.007Z\",\"body\":{body}}}"
    )
}

#[test]
fn a_line_for_each_event() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    assert_eq!((receiver.bounds().events, receiver.bounds().bytes), (1_000, 1 << 20));
    assert_eq!(receiver.bytes(), 0);
    assert_eq!(receiver.add(&event(3, "{ \"total\" : 5.00 }")), Added::Taken);
    assert_eq!(
        receiver.add(&event(5, "{\n \"note\": \"a\\nb é\",\r\n \"n\": 1e400\n}")),
        Added::Taken
    );

    let expect = format!(
        "{}\n{}\n",
        message(3, "{ \"total\" : 5.00 }"),
        message(5, "{\"note\":\"a\\nb é\",\"n\":1e400}")
    );
    assert_eq!(receiver.bytes(), expect.len());
    assert_eq!(receiver.make(&Call::Parcel(0..2)), Answer::Delivered);

    let request = &server.requests()[0];
    assert_eq!(request.text(), expect);
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/in?token=query-secret")
    );
    let mut names: Vec<String> = request.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "content-length",
            "content-type",
            "feedgate-events",
            "host",
            "idempotency-key",
            "user-agent"
        ]
    );
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(request.header("feedgate-events"), Some("2"));
    let user_agent = concat!("feedgate/", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(user_agent));

    receiver.clear();
    assert_eq!(receiver.bytes(), 0);
    receiver.add(&event(9, "{}"));
    receiver.make(&Call::Parcel(0..1));
    assert_eq!(server.requests()[1].text(), format!("{}\n", message(9, "{}")));
}

#[test]
fn an_array_and_its_parts() {
    let server = HttpServer::start();
    let mut receiver = opened(HttpSettings {
        format: HttpFormat::Array,
        ..settings(&server.url())
    });
    for index in 0..4 {
        receiver.add(&event(index, "[1]"));
    }
    let of = |range: std::ops::Range<u64>| -> String {
        let messages: Vec<String> = range.map(|index| message(index, "[1]")).collect();
        format!("[{}]", messages.join(","))
    };
    for (number, range) in [0..4, 0..2, 2..4, 3..4, 0..1].into_iter().enumerate() {
        let call = Call::Parcel(range.start as usize..range.end as usize);
        assert_eq!(receiver.make(&call), Answer::Delivered);
        let request = &server.requests()[number];
        assert_eq!(request.text(), of(range.clone()));
        assert_eq!(request.json().as_array().map(Vec::len), Some(call_len(&range)));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(
            request.header("feedgate-events"),
            Some(call_len(&range).to_string().as_str())
        );
    }
}

fn call_len(range: &std::ops::Range<u64>) -> usize {
    (range.end - range.start) as usize
}

#[test]
fn a_renamed_event_has_its_name_there_and_its_body_as_it_was() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut event = event(0, r#"{"event":"Completed Order"}"#);
    event.renamed = Some("order \"done\"");
    receiver.add(&event);
    receiver.make(&Call::Parcel(0..1));
    let sent = &server.requests()[0].events()[0];
    assert_eq!(sent["event"], "order \"done\"");
    assert_eq!(sent["body"]["event"], "Completed Order");
}

#[test]
fn compressed_it_is_the_same() {
    for format in [HttpFormat::Ndjson, HttpFormat::Array] {
        let server = HttpServer::start();
        let with = |compression| HttpSettings {
            format,
            compression,
            ..settings(&server.url())
        };
        for (compression, encoding) in [
            (HttpCompression::None, None),
            (HttpCompression::Gzip, Some("gzip")),
            (HttpCompression::Zstd(3), Some("zstd")),
            (HttpCompression::Zstd(19), Some("zstd")),
        ] {
            let mut receiver = opened(with(compression));
            fill(&mut *receiver, 500);
            server.forget();
            assert_eq!(receiver.make(&Call::Parcel(100..400)), Answer::Delivered);
            let request = server.requests().remove(0);
            assert_eq!(request.header("content-encoding"), encoding);
            assert_eq!(request.events().len(), 300);
            assert_eq!(request.events()[0]["index"], 100);
            assert_eq!(
                request.raw.len() < request.body.len(),
                encoding.is_some(),
                "{compression:?}"
            );
        }
    }
}

#[test]
fn the_same_events_have_the_same_key_whenever_they_come() {
    let server = HttpServer::start();
    // What anybody can compute from the ids: SHA-256 over each with its length before it, the first half of it in hex.
    let expect = |ids: &[usize]| {
        let mut hash = Sha256::new();
        for index in ids {
            let id = super::id(*index);
            hash.update((id.len() as u64).to_le_bytes());
            hash.update(&id);
        }
        hex(&hash.finalize()[..16])
    };
    for compression in [HttpCompression::None, HttpCompression::Gzip] {
        server.forget();
        // As after a restart: a receiver that has never sent anything.
        let mut receiver = opened(HttpSettings {
            compression,
            ..settings(&server.url())
        });
        fill(&mut *receiver, 3);
        for range in [0..3, 0..3, 0..2, 2..3] {
            receiver.make(&Call::Parcel(range));
        }
        let keys: Vec<String> = server
            .requests()
            .iter()
            .map(|request| request.header("idempotency-key").expect("a key").to_owned())
            .collect();
        assert_eq!(
            keys,
            [expect(&[0, 1, 2]), expect(&[0, 1, 2]), expect(&[0, 1]), expect(&[2])]
        );
    }
}

#[test]
fn a_signature_over_time_and_body() {
    let server = HttpServer::start();
    // A key longer than a block of the hash, which HMAC treats differently, and one that is shorter.
    for key in ["a key".to_owned(), "long ".repeat(40)] {
        for compression in [HttpCompression::None, HttpCompression::Zstd(1)] {
            server.forget();
            let mut receiver = opened(HttpSettings {
                compression,
                signing_key: Some(Secret::new(key.clone())),
                ..settings(&server.url())
            });
            let before = unix_seconds();
            post_three(&mut *receiver);
            let request = server.requests().remove(0);
            let timestamp = request.header("feedgate-timestamp").expect("a timestamp");
            let signed_at: u64 = timestamp.parse().expect("a number");
            assert!((before..=unix_seconds()).contains(&signed_at), "{timestamp}");
            let signed = [timestamp.as_bytes(), b".", &request.raw].concat();
            assert_eq!(
                request.header("feedgate-signature"),
                Some(format!("v1={}", hex(&hmac_sha256(key.as_bytes(), &signed))).as_str())
            );
        }
    }
    let mut unsigned = opened(settings(&server.url()));
    server.forget();
    post_three(&mut *unsigned);
    assert_eq!(server.requests()[0].header("feedgate-signature"), None);
    assert_eq!(server.requests()[0].header("feedgate-timestamp"), None);
}

/// HMAC as RFC 2104 spells it out.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], text].concat());
    Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[test]
fn headers_and_what_lets_us_in() {
    let server = HttpServer::start();
    let header = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    let mut bearer = opened(HttpSettings {
        headers: vec![
            header("X-Api-Key", "k-1"),
            header("user-agent", "ours/2"),
            header("Content-Type", "application/vnd.ours+json"),
        ],
        authorization: Some(Authorization::Bearer(Secret::new("a.b-c"))),
        ..settings(&server.url())
    });
    post_three(&mut *bearer);
    let mut basic = opened(HttpSettings {
        authorization: Some(Authorization::Basic {
            user: "Aladdin".to_owned(),
            password: Secret::new("open sesame"),
        }),
        ..settings(&server.url())
    });
    post_three(&mut *basic);

    let requests = server.requests();
    assert_eq!(requests[0].header("x-api-key"), Some("k-1"));
    assert_eq!(requests[0].header("user-agent"), Some("ours/2"));
    assert_eq!(requests[0].header("content-type"), Some("application/vnd.ours+json"));
    assert_eq!(requests[0].header("authorization"), Some("Bearer a.b-c"));
    // The example of RFC 7617.
    assert_eq!(
        requests[1].header("authorization"),
        Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    );
}

#[test]
fn a_connection_is_used_again_unless_it_is_closed_meanwhile() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    for _ in 0..5 {
        assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    }
    // Not always: one that has lain idle for some seconds is not.
    let accepted = server.accepted();
    assert!(accepted < 5, "{accepted}");
    server.cut_connections();
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    assert_eq!((server.accepted(), server.stored().len()), (accepted + 1, 6));
}

#[test]
fn one_event_of_many_megabytes() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let body = format!("{{\"text\":\"{}\"}}", "ä".repeat(8 << 20));
    receiver.add(&event(0, &body));
    assert_eq!(receiver.make(&Call::Parcel(0..1)), Answer::Delivered);
    assert_eq!(server.requests()[0].text(), format!("{}\n", message(0, &body)));
}
