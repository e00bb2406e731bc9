//! What each answer comes to, and that no reason gives anything away.

use feedgate::config::resolve::BentoSettings;
use feedgate::destination::Reply;
use feedgate::destination::receiver::{Answer, Call};
use serde_json::json;

use super::*;
use crate::house::http_server::Script;

/// An answer in a word, with its reason.
fn in_words(answer: Answer) -> (&'static str, String) {
    match answer {
        Answer::Delivered => ("delivered", String::new()),
        Answer::Verdicts(_) => panic!("Bento does not say what came of each event"),
        Answer::Unidentified { failed, reason } => {
            assert!((1..=3).contains(&failed), "{failed}");
            ("unidentified", reason)
        }
        Answer::Refused { reason } => ("refused", reason),
        Answer::TooLarge { reason } => ("too large", reason),
        Answer::Unavailable { reason, .. } => ("unavailable", reason),
        Answer::Unanswered { reason } => ("unanswered", reason),
        Answer::Unclear { reason } => ("unclear", reason),
        Answer::Barred { reason } => ("barred", reason),
    }
}

/// A parcel of three events, and what is said of their people before.
fn a_parcel(server: &HttpServer) -> Box<dyn Receiver> {
    let mut bento = open(BentoSettings {
        profile: pairs(&[("name", "name")]),
        tags: vec![("Registered".to_owned(), vec!["customer".to_owned()])],
        ..settings(server)
    });
    let body = r#"{"event":"Registered","name":"Jesse"}"#;
    let events: Vec<Event<'_>> = (0..3).map(|index| entry(index, "Registered", body)).collect();
    add_all(&mut *bento, &events);
    assert_eq!(bento.calls_before(), 3);
    bento
}

#[test]
fn answers_to_a_parcel() {
    let server = HttpServer::start();
    let mut bento = a_parcel(&server);
    let mut check = |script: Script, expect: &str, part: &str| {
        let shown = format!("{script:?}");
        server.next(script);
        let (word, reason) = in_words(bento.make(&Call::Parcel(0..3)));
        assert_eq!(word, expect, "{shown}: {reason}");
        assert!(reason.contains(part), "{shown}: {reason}");
    };
    check(Script::ok(r#"{"results":3,"failed":0}"#), "delivered", "");
    check(Script::status(201).with_body(r#"{"result":3}"#), "delivered", "");
    check(
        Script::ok(r#"{"results":1,"failed":2}"#),
        "unidentified",
        "Bento took 1 of 3 events",
    );
    check(
        Script::ok(r#"{"results":0,"failed":9}"#),
        "unidentified",
        "Bento took 0 of 3 events",
    );
    check(Script::ok("{}"), "unclear", "without a count");
    check(Script::ok(r#"{"error":"later"}"#), "unavailable", "“later”");
    check(Script::ok("<html>"), "unanswered", "a web page");
    check(Script::status(204), "unanswered", "answered 204");
    check(
        Script::status(400).with_body(r#"{"error":"bad"}"#),
        "refused",
        "400: “bad”",
    );
    check(
        Script::status(422).with_body(r#"{"errors":[{"field":"email","message":"is bad"}]}"#),
        "refused",
        "422: “email: is bad”",
    );
    check(Script::status(401), "barred", "`site_uuid`");
    check(Script::status(403).with_body("<html>"), "barred", "`User-Agent`");
    check(Script::status(404), "barred", "`url`");
    check(
        Script::redirect("https://example.com/x?token=1"),
        "barred",
        "points to https://example.com/x;",
    );
    check(Script::status(413), "too large", "answered 413");
    check(Script::status(500), "unavailable", "answered 500");
    check(Script::status(503), "unavailable", "answered 503");
    check(Script::CutAfter, "unanswered", "batch/events");
    check(Script::CutBefore, "unanswered", "batch/events");
    check(Script::WrongLength, "unanswered", "batch/events");
    check(Script::HalfHeader, "unanswered", "batch/events");
    check(Script::Garbage, "unanswered", "batch/events");
    check(Script::Endless, "unanswered", "batch/events");
    check(Script::EndlessHead, "unanswered", "batch/events");
    server.stop();
    let (word, reason) = in_words(bento.make(&Call::Parcel(0..3)));
    assert_eq!(word, "unavailable", "{reason}");
    server.restart();
    server.next(Script::ok(r#"{"results":3,"failed":0}"#));
    assert_eq!(bento.make(&Call::Parcel(0..3)), Answer::Delivered);
}

#[test]
fn bento_says_when() {
    let server = HttpServer::start();
    let mut bento = a_parcel(&server);
    server.next(Script::status(429).with_header("Retry-After", "7"));
    match bento.make(&Call::Parcel(0..3)) {
        Answer::Unavailable { retry_after, .. } => assert_eq!(retry_after, Some(Duration::from_secs(7))),
        other => panic!("{other:?}"),
    }
    server.next(Script::status(429));
    match bento.make(&Call::Before(0)) {
        Answer::Unavailable { retry_after, .. } => assert_eq!(retry_after, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_to_the_calls_before() {
    let server = HttpServer::start();
    let mut bento = a_parcel(&server);
    let mut check = |number: usize, script: Script, expect: &str| {
        let shown = format!("{number} {script:?}");
        server.next(script);
        let (word, reason) = in_words(bento.make(&Call::Before(number)));
        assert_eq!(word, expect, "{shown}: {reason}");
    };
    for number in 0..3 {
        check(number, Script::ok(r#"{"results":1,"failed":0}"#), "delivered");
        check(number, Script::ok(r#"{"data":null}"#), "delivered");
        check(number, Script::ok("oops"), "unanswered");
        check(number, Script::status(422), "refused");
        check(number, Script::status(401), "barred");
        check(number, Script::status(502), "unavailable");
        check(number, Script::CutAfter, "unanswered");
    }
    check(0, Script::ok(r#"{"results":0,"failed":1}"#), "delivered");
}

#[test]
fn no_reason_gives_anything_away() {
    let server = HttpServer::start();
    // A server that says everything it knows.
    server.answer_with(|request| {
        let all = format!(
            "{:?} {:?} {PUBLISHABLE_KEY} {SECRET_KEY} {}",
            request.target,
            request.headers,
            String::from_utf8_lossy(&request.body)
        );
        Script::status(400).with_body(all)
    });
    let mut bento = a_parcel(&server);
    let mut reasons = Vec::new();
    for call in [Call::Before(0), Call::Before(1), Call::Before(2), Call::Parcel(0..3)] {
        reasons.push(in_words(bento.make(&call)).1);
    }
    for status in [200, 401, 403, 404, 413, 422, 429, 500] {
        for body in [
            json!({"error": format!("{SECRET_KEY} {PUBLISHABLE_KEY} jesse@example.com")}).to_string(),
            json!({"errors": [{"field": "jesse@example.com", "message": "<jesse@example.com>"}]}).to_string(),
            json!({"errors": {"jesse@example.com": [SECRET_KEY]}}).to_string(),
            "cHViLTNmMWM5YjdlOnNlYy1hODFkMDJjNA== of jesse%40example.com".to_owned(),
        ] {
            server.next(Script::status(status).with_body(body));
            reasons.push(in_words(bento.make(&Call::Parcel(0..3))).1);
        }
    }
    server.stop();
    reasons.push(in_words(bento.make(&Call::Parcel(0..3))).1);
    for reason in &reasons {
        assert!(!reason.is_empty());
        for secret in [PUBLISHABLE_KEY, SECRET_KEY, "cHViLTNm", "jesse", "example.com"] {
            assert!(!reason.contains(secret), "`{secret}` in: {reason}");
        }
    }
}

#[test]
fn answers_to_the_dial() {
    let server = HttpServer::start();
    let check = |script: Script, expect: &str| {
        let shown = format!("{script:?}");
        server.next(script);
        let found = match destination::check(&destination(settings(&server))) {
            Ok(()) => "well".to_owned(),
            Err(Reply::Unavailable { reason }) => format!("unavailable: {reason}"),
            Err(Reply::Barred { reason }) => format!("barred: {reason}"),
            Err(other) => panic!("{other:?}"),
        };
        assert!(found.starts_with(expect), "{shown}: {found}");
    };
    check(Script::ok(r#"{"data":[]}"#), "well");
    check(Script::ok(r#"{"data":null}"#), "well");
    check(
        Script::status(401),
        "barred: `fetch/tags` answered 401; see that `publishable_key`",
    );
    check(
        Script::status(403).with_body("<html>"),
        "barred: `fetch/tags` answered 403 with a web page",
    );
    check(Script::status(404), "barred: `fetch/tags` answered 404");
    check(Script::status(429), "unavailable: `fetch/tags` answered 429");
    check(
        Script::ok("<html>"),
        "unavailable: `fetch/tags` answered 200 with a web page",
    );
    check(Script::CutBefore, "unavailable: asking http://127.0.0.1:");
}
