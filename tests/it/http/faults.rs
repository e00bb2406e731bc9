//! No answer, half of one, or too much of it.

use std::time::Duration;

use feedgate::config::resolve::HttpSettings;
use feedgate::destination::receiver::{Answer, Call};

use super::{event, kind, opened, post_three, reason, settings};
use crate::house::http_server::{HttpServer, Script};

#[test]
fn who_did_not_answer_may_have_taken_it() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |script: Script, expect: &str| {
        let shown = format!("{script:?}");
        server.next(script);
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), "unanswered", "{shown}: {answer:?}");
        assert!(reason(&answer).contains(expect), "{shown}: {answer:?}");
        // And nothing of it is left behind: the next call is as any other.
        assert_eq!(post_three(&mut *receiver), Answer::Delivered, "after {shown}");
    };
    check(
        Script::CutBefore,
        "the connection was closed, with all of it on its way",
    );
    check(Script::CutAfter, "the connection was closed, with all of it on its way");
    check(
        Script::HalfHeader,
        "the connection was closed, with all of it on its way",
    );
    check(Script::WrongLength, "in the middle of the answer");
    check(Script::Garbage, "no HTTP");
    check(Script::EndlessHead, "");
    let raw = |text: &str| Script::Raw(text.as_bytes().to_vec());
    check(
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        "in the middle of the answer",
    );
    check(
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"),
        "in the middle of the answer",
    );
    check(raw("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"), "");
    check(raw("HTTP/1.1 2000 OK\r\n\r\n"), "no HTTP");
    check(raw("HTTP/1.1 20 OK\r\n\r\n"), "no HTTP");
    check(raw("HTTP/9.9 200 OK\r\n\r\n"), "no HTTP");
    check(raw("ICY 200 OK\r\n\r\n"), "no HTTP");
    check(raw("\r\n\r\n\r\n"), "");
    check(raw("HTTP/1.1 100 Continue\r\n\r\n"), "");
}

#[test]
fn answers_of_another_shape_are_answers() {
    let server = HttpServer::start();
    for text in [
        "HTTP/1.0 200 OK\r\n\r\n{}",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more than was said",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        server.next(Script::Raw(text.as_bytes().to_vec()));
        // A connection of its own for each: after these bytes the server closes without a word.
        let mut receiver = opened(settings(&server.url()));
        assert_eq!(post_three(&mut *receiver), Answer::Delivered, "{text}");
    }
}

#[test]
fn an_answer_without_end_is_read_to_a_bound() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    for script in [Script::Endless, Script::Endless] {
        server.next(script);
        assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    }
    // The connection is given up, not read to its end.
    assert_eq!((server.accepted(), server.stored().len()), (2, 2));
}

#[test]
fn a_slow_answer_is_waited_for() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    server.next(Script::Slow(Duration::from_millis(5)));
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
}

#[test]
fn what_takes_too_long_is_given_up() {
    for script in [Script::Stall { store: true }, Script::Slow(Duration::from_secs(1))] {
        let server = HttpServer::start();
        let mut patient = settings(&server.url());
        patient.endpoint.timeout = Duration::from_secs(3);
        let mut receiver = opened(patient);
        server.next(script);
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), "unanswered", "{answer:?}");
        assert!(reason(&answer).contains("not done within 3s"), "{answer:?}");
        assert_eq!(server.stored().len(), 1);
    }
}

#[test]
fn who_is_not_there_has_taken_nothing() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    server.stop();
    for _ in 0..2 {
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), "unavailable", "{answer:?}");
        let expect = format!("posting to {}/in: Connection refused", server.url());
        assert!(reason(&answer).starts_with(&expect), "{answer:?}");
    }
    server.restart();
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_answer_that_does_not_wait_for_the_body_is_heard() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    server.next(Script::AnswerEarly(413));
    assert_eq!(kind(&post_three(&mut *receiver)), "too large");
    receiver.clear();
    receiver.add(&event(0, &a_large_body()));
    server.next(Script::AnswerEarly(401));
    assert_eq!(kind(&receiver.make(&Call::Parcel(0..1))), "barred");
    assert_eq!(server.stored(), []);
}

/// More than two sockets hold between them.
fn a_large_body() -> String {
    format!("{{\"text\":\"{}\"}}", "x".repeat(48 << 20))
}

#[test]
fn a_body_that_is_cut_off_is_announced_the_next_time() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    receiver.add(&event(0, &a_large_body()));
    let whole = Call::Parcel(0..1);

    // A server that finds it too large and closes: its answer is lost to who still writes.
    server.next(Script::CutInBody);
    let answer = receiver.make(&whole);
    assert_eq!(kind(&answer), "unanswered", "{answer:?}");
    assert!(reason(&answer).contains("bytes had been sent"), "{answer:?}");

    server.next(Script::AnswerEarly(413));
    let answer = receiver.make(&whole);
    assert_eq!(kind(&answer), "too large", "{answer:?}");
    let announced = server.wait_for_requests(2).remove(1);
    assert_eq!(announced.header("expect"), Some("100-continue"));
    assert!(announced.raw.is_empty(), "nothing of it was sent");

    assert_eq!(receiver.make(&whole), Answer::Delivered);
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
    let requests = server.requests();
    assert_eq!(requests[2].header("expect"), Some("100-continue"));
    assert_eq!(requests[2].events()[0]["index"], 0);
    assert_eq!(requests[3].header("expect"), None);
}

#[test]
fn who_says_yes_before_the_body_is_there_has_taken_nothing() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    receiver.add(&event(0, &a_large_body()));
    let whole = Call::Parcel(0..1);
    server.next(Script::CutInBody);
    assert_eq!(kind(&receiver.make(&whole)), "unanswered");
    server.next(Script::AnswerEarly(200));
    let answer = receiver.make(&whole);
    assert_eq!(kind(&answer), "unavailable", "{answer:?}");
    assert!(
        reason(&answer).contains("200 OK before any of it was sent"),
        "{answer:?}"
    );
    // It is not asked again.
    assert_eq!(receiver.make(&whole), Answer::Delivered);
    assert_eq!(server.stored()[0].header("expect"), None);
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let check = |change: &dyn Fn(&mut HttpSettings), expect: &str| {
        let mut bad = settings("http://127.0.0.1:1");
        change(&mut bad);
        let found = format!("{:?}", super::checked(bad).expect_err(expect));
        assert!(found.contains("Barred") && found.contains(expect), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
    };
    let header = |name: &str, value: &str| (name.to_owned(), feedgate::config::resolve::Secret::new(value));
    check(&|bad| bad.endpoint.url = "ftp://host/hunter2".to_owned(), "neither");
    check(
        &|bad| bad.endpoint.url = "http://ana:hunter2@host/".to_owned(),
        "holds a user",
    );
    check(
        &|bad| bad.endpoint.roots = Some("hunter2".to_owned()),
        "holds no certificate",
    );
    check(
        &|bad| {
            bad.endpoint.roots = Some("-----BEGIN CERTIFICATE-----\nhunter2!\n-----END CERTIFICATE-----\n".to_owned())
        },
        "damaged",
    );
    check(
        &|bad| bad.headers = vec![header("X-Key", "hunter2\r\nX-Other: 1")],
        "line end",
    );
    check(
        &|bad| bad.headers = vec![header("X Key", "hunter2")],
        "no name of a header",
    );
    for name in ["Content-Length", "Host", "transfer-encoding", "Connection", "Expect"] {
        check(&|bad| bad.headers = vec![header(name, "hunter2")], "leave it out");
    }
    for name in ["Feedgate-Signature", "idempotency-key", "Content-Encoding"] {
        check(&|bad| bad.headers = vec![header(name, "hunter2")], "leave it out");
    }
}
