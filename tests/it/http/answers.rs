//! What a status and a body mean.

use std::time::Duration;

use feedgate::config::resolve::{HttpSettings, StatusMeaning};
use feedgate::destination::Reply;
use feedgate::destination::receiver::{Answer, Verdict};
use serde_json::json;

use super::{checked, id, kind, opened, post_three, reason, settings};
use crate::house::http_server::{HttpServer, Script};

#[test]
fn every_status_has_one_meaning() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |status: u16, expect: &str| {
        server.next(Script::status(status).with_body("because"));
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), expect, "{status}: {answer:?}");
        if expect != "delivered" {
            let begins = format!("posting to {}/in: answered {status}", server.url());
            assert!(reason(&answer).starts_with(&begins), "{answer:?}");
            assert!(reason(&answer).contains("“because”") || status == 304, "{answer:?}");
        }
    };
    for status in [200, 201, 202, 207, 226, 299] {
        check(status, "delivered");
    }
    for status in [300, 301, 302, 303, 304, 307, 308, 399] {
        check(status, "barred");
    }
    for status in [400, 422] {
        check(status, "refused");
    }
    check(413, "too large");
    for status in [401, 403, 402, 404, 405, 406, 407, 409, 410, 411, 415, 418, 451, 499] {
        check(status, "barred");
    }
    for status in [408, 425, 429, 500, 501, 502, 503, 505, 521, 599] {
        check(status, "unavailable");
    }
    for status in [504, 520, 524, 600, 700, 999] {
        check(status, "unanswered");
    }
    server.next(Script::status(204));
    assert_eq!(post_three(&mut *receiver), Answer::Delivered);
}

#[test]
fn an_answer_says_what_to_do() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |status: u16, expect: &str| {
        server.next(Script::status(status));
        let answer = post_three(&mut *receiver);
        assert!(reason(&answer).contains(expect), "{answer:?}");
    };
    check(401, "401 Unauthorized; check the token");
    check(403, "403 Forbidden; check the token");
    check(404, "404 Not Found; check `url`, or say in `statuses`");
    check(301, "change `url`");
}

#[test]
fn statuses_can_say_otherwise() {
    let server = HttpServer::start();
    use StatusMeaning::*;
    let mut receiver = opened(HttpSettings {
        statuses: vec![
            (409, Delivered),
            (404, Unavailable),
            (500, Refused),
            (507, TooLarge),
            (200, Barred),
            (302, Unavailable),
        ],
        ..settings(&server.url())
    });
    let mut check = |status: u16, expect: &str| {
        server.next(Script::status(status).with_header("Retry-After", "7"));
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), expect, "{status}: {answer:?}");
        if let Answer::Unavailable { retry_after, .. } = answer {
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    };
    check(409, "delivered");
    check(404, "unavailable");
    check(500, "refused");
    check(507, "too large");
    check(200, "barred");
    check(302, "unavailable");
    check(201, "delivered");
    check(503, "unavailable");
}

#[test]
fn when_to_come_back() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |value: &str, expect: Option<u64>| {
        server.next(Script::status(429).with_header("Retry-After", value));
        match post_three(&mut *receiver) {
            Answer::Unavailable { retry_after, .. } => {
                assert_eq!(retry_after, expect.map(Duration::from_secs), "{value}");
            }
            other => panic!("{other:?}"),
        }
    };
    check("0", Some(0));
    check("37", Some(37));
    check("1000000", Some(86_400));
    check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
    check("Wed, 01 Jan 2200 00:00:00 GMT", Some(86_400));
    check("in a while", None);
    check("-5", None);
    server.next(Script::status(503));
    assert!(matches!(
        post_three(&mut *receiver),
        Answer::Unavailable { retry_after: None, .. }
    ));
}

#[test]
fn no_redirect_is_followed() {
    let (server, elsewhere) = (HttpServer::start(), HttpServer::start());
    let mut receiver = opened(settings(&server.url()));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/new?token=1", elsewhere.url().replace("//", "//ana:hunter2@"));
        server.next(Script::status(status).with_header("Location", &location));
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), "barred");
        assert!(
            reason(&answer).contains(&format!(" to {}/new; ", elsewhere.url())),
            "{answer:?}"
        );
        assert!(!reason(&answer).contains("hunter2"), "{answer:?}");
    }
    assert_eq!(elsewhere.accepted(), 0);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn an_answer_event_by_event() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let refused = |reason: &str| Verdict::Refused {
        reason: reason.to_owned(),
    };
    let deferred = |reason: &str| Verdict::Deferred {
        reason: reason.to_owned(),
    };
    let mut check = |body: serde_json::Value, expect: [Verdict; 3]| {
        server.next(Script::json(&body));
        assert_eq!(post_three(&mut *receiver), Answer::Verdicts(expect.to_vec()), "{body}");
    };
    let none = "no reason was given";
    check(
        json!({"refused": [{"id": id(1), "reason": "no such\nshop"}]}),
        [Verdict::Delivered, refused("“no such shop”"), Verdict::Delivered],
    );
    check(
        json!({"refused": [id(0)], "deferred": [{"id": id(2), "reason": "busy"}], "more": {"a": []}}),
        [refused(none), Verdict::Delivered, deferred("“busy”")],
    );
    check(
        json!({"deferred": [id(0), id(1), {"id": id(2)}, id(2)], "refused": null}),
        [deferred(none), deferred(none), deferred(none)],
    );
    check(
        json!({"refused": [id(0)], "deferred": [id(0), "somebody-7"]}),
        [deferred(none), Verdict::Delivered, Verdict::Delivered],
    );
    check(
        json!({"refused": [17, null, {"reason": "which?"}, {"id": 3}, {"id": id(0), "reason": null}]}),
        [refused(none), Verdict::Delivered, Verdict::Delivered],
    );
    check(
        json!({"refused": [{"id": id(2), "reason": "\u{1b}[2J".to_owned() + &"x".repeat(300)}]}),
        [
            Verdict::Delivered,
            Verdict::Delivered,
            refused(&format!("“\\u{{1b}}[2J{}…”", "x".repeat(196))),
        ],
    );
}

#[test]
fn an_answer_may_have_blanks_and_a_byte_order_mark_before_it() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    for before in ["\u{feff}", " \r\n", "\u{feff}\n"] {
        server.next(Script::ok(format!("{before}{{\"refused\":[\"{}\"]}}\n", id(2))));
        assert_eq!(kind(&post_three(&mut *receiver)), "verdicts", "{before:?}");
    }
}

#[test]
fn answers_that_say_nothing_of_single_events() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |body: &str, expect: &str| {
        server.next(Script::ok(body));
        let answer = post_three(&mut *receiver);
        assert_eq!(kind(&answer), expect, "{body}: {answer:?}");
    };
    for body in [
        "",
        "ok",
        "{}",
        "[]",
        "null",
        "{ok}",
        "[{\"refused\":[\"x\"]}]",
        r#"{"refused":[],"deferred":[]}"#,
        r#"{"refused":0}"#,
        r#"{"refused":false}"#,
        r#"{"refused":{}}"#,
        "<html>refused</html>",
        "\u{0}\u{1}",
    ] {
        check(body, "delivered");
    }
    // Something was not taken, and nobody knows what.
    for body in [
        r#"{"refused":["somebody-1"]}"#,
        r#"{"refused":"no"}"#,
        r#"{"refused":{"id":1}}"#,
        r#"{"refused":[1,2]}"#,
        r#"{"refused":true}"#,
        r#"{"refused":-3}"#,
    ] {
        check(body, "unclear");
    }
    // Whoever begins to name events and breaks off may have named any.
    check(r#"{"refused":["c68720"#, "unanswered");
    check(r#"{"more":1,"deferred":[}"#, "unanswered");
    check(r#"{"refused":[],"refused":["x"]}"#, "unanswered");
}

#[test]
fn some_were_refused_and_nobody_says_which() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    let mut check = |body: &str, expect: u64| {
        server.next(Script::ok(body));
        match post_three(&mut *receiver) {
            Answer::Unidentified { failed, .. } => assert_eq!(failed, expect, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    };
    check(r#"{"refused":2}"#, 2);
    check(r#"{"refused":1,"deferred":1}"#, 2);
    check(r#"{"refused":18446744073709551615,"deferred":18446744073709551615}"#, 3);
}

#[test]
fn a_long_answer_event_by_event() {
    let server = HttpServer::start();
    let mut receiver = opened(settings(&server.url()));
    super::fill(&mut *receiver, 1_000);
    let refused: Vec<_> = (0..1_000)
        .map(|index| json!({"id": id(index), "reason": "x".repeat(200)}))
        .collect();
    server.next(Script::json(&json!({"refused": refused})));
    let answer = receiver.make(&feedgate::destination::receiver::Call::Parcel(0..1_000));
    let Answer::Verdicts(verdicts) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        verdicts
            .iter()
            .all(|verdict| matches!(verdict, Verdict::Refused { .. }))
    );
    assert_eq!(verdicts.len(), 1_000);
}

#[test]
fn a_check_changes_nothing() {
    let server = HttpServer::start();
    for status in [200, 204, 301, 400, 404, 405, 429, 500] {
        server.next(Script::status(status));
        assert_eq!(checked(settings(&server.url())), Ok(()), "{status}");
    }
    for status in [401, 403] {
        server.next(Script::status(status));
        let refused = checked(settings(&server.url())).expect_err("not let in");
        assert!(
            matches!(&refused, Reply::Barred { reason } if reason.contains("check the token") && !reason.contains("query-secret")),
            "{refused:?}"
        );
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.method == "HEAD" && request.raw.is_empty())
    );
    server.next(Script::CutBefore);
    assert!(matches!(
        checked(settings(&server.url())),
        Err(Reply::Unavailable { .. })
    ));
    server.stop();
    assert!(matches!(
        checked(settings(&server.url())),
        Err(Reply::Unavailable { .. })
    ));
}
