//! What each answer comes to: dead letters, waiting, a bar; and that it goes on when what was wrong is mended.

use serde_json::json;

use super::{MONDAY, TUESDAY, World, body, code, kept, queued, stay, stays};
use crate::house::http_server::Script;

const OTHER: &str = r#"{"eventName": "other", "actions": ["EIConsumer"], "fields": [
    {"name": "customer", "type": "customer", "attributes": {"identifierType": {"value": "externalId", "valueType": "Enum"}}}
]}"#;

#[test]
fn what_each_answer_comes_to() {
    // What the first event gets, and how the destination stands after a pass: its state, dead letters, and words of the reason.
    let check = |script: Script, state: &str, letters: usize, words: &str| {
        let world = World::new();
        world.server.next(script.clone());
        world.send(MONDAY, &stays(2));
        let once = world.gate.once();
        let (standing, dead) = (world.standing(), world.letters());
        assert_eq!(
            (standing["state"].as_str(), dead.len()),
            (Some(state), letters),
            "{script:?}: {standing} {once}"
        );
        let reason = match dead.first() {
            Some(letter) => &letter["reason"],
            None => &standing["reason"],
        };
        let reason = reason.as_str().unwrap_or_default();
        assert!(reason.contains(words), "{script:?}: {reason}");
        assert!(!reason.contains("query-secret") && !reason.contains("36.5"), "{reason}");
        // Those behind it go on where it is a dead letter, and stand still where it is none.
        let expected: &[&str] = match (state, letters) {
            ("idle", 0) => &["B-0", "B-1"],
            ("idle", _) => &["B-1"],
            _ => &[],
        };
        assert_eq!(kept(&world.server), expected, "{script:?}");
    };
    check(queued("r"), "idle", 0, "");
    check(code(200, 7300, "SUCCESS").storing(true), "idle", 0, "");
    check(
        code(200, 7305, "no such event"),
        "idle",
        1,
        "code 7305, the event is not known there: “no such event”; `feedgate def",
    );
    check(
        code(400, 7309, "age 36.5 is odd"),
        "idle",
        1,
        "code 7309, the SKU is not known there: “age *** is odd”",
    );
    check(
        code(200, 4711, "?"),
        "idle",
        1,
        "code 4711, which its pages do not name",
    );
    check(code(200, 1839, "?"), "barred", 0, "set up Basic authentication");
    check(code(400, 1808, "?"), "barred", 0, "register it anew");
    check(
        Script::status(401),
        "barred",
        0,
        "see that `user` and the password are the webhook's",
    );
    check(Script::status(404), "barred", 0, "webHookUri");
    check(
        Script::redirect("https://elsewhere.example/"),
        "barred",
        0,
        "change `url`",
    );
    check(Script::status(422), "idle", 1, "422");
    check(Script::status(413), "idle", 1, "413");
    check(
        Script::status(503).with_body("<html>"),
        "waiting",
        0,
        "503 Service Unavailable with a web page",
    );
    check(
        Script::status(429).with_header("Retry-After", "60"),
        "waiting",
        0,
        "429",
    );
    check(Script::CutBefore, "waiting", 0, "");
    check(Script::ok("{}").storing(false), "barred", 0, "without a code");
    check(
        Script::ok("<html>").storing(false),
        "waiting",
        0,
        "not the JSON that the vendor answers with",
    );
}

#[test]
fn what_was_refused_goes_when_it_is_mended() {
    let world = World::new();
    world
        .server
        .answer_with(|request| match body(request)["booking_id"].as_str() {
            Some("B-1") => code(200, 7305, "not published"),
            _ => queued("r"),
        });
    world.send(MONDAY, &stays(3));
    world.gate.once();
    assert_eq!(kept(&world.server), ["B-0", "B-2"]);
    assert_eq!(world.letters().len(), 1);
    world.server.always(queued("later"));
    assert_eq!(world.gate.cli(["retry", "--dead-letters", "loyalty"]).code, 0);
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(kept(&world.server), ["B-0", "B-2", "B-1"]);
    let found = world
        .gate
        .cli(["tickets", "loyalty", "--find", "later", "--json"])
        .json();
    assert_eq!(found[0]["index"], 1, "{found}");
    assert_eq!(world.standing()["dead_letters"], 0);
}

#[test]
fn an_event_without_a_definition() {
    let feed = format!(r#"[{},{{"event":"Other","id":"u"}}]"#, stay(0));
    let world = World::new();
    world.send(MONDAY, &feed);
    world.gate.once();
    let letters = world.letters();
    assert_eq!((letters.len(), &letters[0]["kind"]), (1, &json!("refused")));
    let reason = letters[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("`Other` has no definition"), "{reason}");
    // Written now, the definition holds for what is here already.
    world.define("other", OTHER);
    world.gate.cli(["retry", "--dead-letters", "loyalty"]);
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(body(&world.server.requests()[1])["event_name"], "other");
    let dropping = World::with("without_definition = \"drop\"\n");
    dropping.send(MONDAY, &feed);
    let once = dropping.gate.once();
    assert_eq!(once.code, 0, "{once}");
    let standing = dropping.standing();
    assert_eq!(
        (&standing["dropped"], &standing["dead_letters"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn an_event_of_somebody_who_is_not_known_waits() {
    let world = World::new();
    world.define(
        "booking",
        &super::BOOKING.replace("externalId", "email").replace(
            r#""isRequired": {"value": "true", "valueType": "Boolean"},
            "identifierType""#,
            r#""identifierType""#,
        ),
    );
    world.send(MONDAY, &stays(1));
    world.gate.once();
    let letters = world.letters();
    assert_eq!((letters.len(), &letters[0]["kind"]), (1, &json!("held")));
    assert_eq!(
        letters[0]["reason"],
        "it has no `email`, by which its definition knows customers"
    );
    assert_eq!(world.server.requests().len(), 0);
}

#[test]
fn an_outage_is_waited_out() {
    let world = World::new();
    world.server.stop();
    world.send(MONDAY, &stays(2));
    let once = world.gate.once();
    assert_eq!(once.code, 1, "{once}");
    assert_eq!(world.standing()["state"], "waiting");
    world.server.restart();
    world.send(TUESDAY, &format!("[{}]", stay(7)));
    world.gate.cli(["retry", "--dead-letters", "loyalty"]);
    let once = world.gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert_eq!(kept(&world.server), ["B-0", "B-1", "B-7"]);
    assert_eq!(world.standing()["resent"], 0);
}
