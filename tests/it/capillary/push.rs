//! `definitions push` against a vendor that keeps what it is given: what is new, what has changed, what it forbids; nothing without a
//! yes; and every way in which it says no.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::BOOKING;
use crate::house::gate::{Gate, Output};
use crate::house::http_server::{HttpServer, Request, Script};

/// A vendor, and a gate that knows where it is.
struct World {
    gate: Gate,
    server: HttpServer,
    /// What the vendor keeps, as it shows it.
    kept: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl World {
    fn new() -> World {
        World::with("token_file = \"TOKEN\"\n")
    }

    /// With these keys in place of a token's.
    fn with(keys: &str) -> World {
        let mut gate = Gate::new();
        let server = HttpServer::start();
        let kept: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
        let at_vendor = kept.clone();
        server.answer_with(move |request| vendor(&mut at_vendor.lock().expect("no test panicked"), request));
        let token = gate.dir().join("token");
        std::fs::write(&token, "hunter2\n").expect("a token");
        let keys = keys.replace("TOKEN", &token.display().to_string());
        let url = server.url();
        gate.destination(
            "loyalty",
            &format!("type = \"capillary\"\nurl = \"{url}/hook\"\napi_url = \"{url}/\"\n{keys}"),
        );
        let world = World { gate, server, kept };
        world.define("booking", BOOKING);
        world
    }

    fn define(&self, name: &str, text: &str) {
        let dir = self.gate.dir().join("events");
        std::fs::create_dir_all(&dir).expect("the definitions' directory");
        std::fs::write(dir.join(format!("{name}.json")), text).expect("definitions");
    }

    fn push(&self, more: &[&str]) -> Output {
        self.gate.cli([&["definitions", "push"], more].concat())
    }

    /// Methods of the requests so far, but for those that ask.
    fn sent(&self) -> Vec<String> {
        let requests = self.server.requests();
        let methods = requests.iter().map(|request| request.method.clone());
        methods.filter(|method| method != "GET").collect()
    }

    fn publish(&self, name: &str) {
        let mut kept = self.kept.lock().expect("no test panicked");
        kept.get_mut(name).expect("it is there")["status"] = json!("PUBLISHED");
    }
}

/// The vendor: keeps definitions, and shows them in its own spelling.
fn vendor(kept: &mut BTreeMap<String, Value>, request: &Request) -> Script {
    if request.header("x-cap-api-oauth-token") != Some("hunter2") && request.header("authorization").is_none() {
        return Script::status(401).with_body("who are you, hunter2?");
    }
    if request.method == "GET" {
        let all: Vec<Value> = kept
            .values()
            .map(|one| json!({"clickEventsMeta": one, "transformerMappings": []}))
            .collect();
        return Script::json(&json!({"data": all, "warnings": [], "errors": []}));
    }
    let mut given: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert!(
        given.get("feed").is_none(),
        "our own key is none of the vendor's business: {given}"
    );
    let name = given["eventName"].as_str().expect("a name").to_owned();
    if (request.method == "POST") == kept.contains_key(&name) {
        let error = json!({"warnings": [], "errors": [{"code": 1806, "message": "event exists"}]});
        return Script::status(400).with_body(error.to_string());
    }
    for field in given["fields"].as_array_mut().expect("fields") {
        field["type"] = json!(field["type"].as_str().expect("a type").to_uppercase());
        field["attributes"]["isOdd"] = json!({"value": "false", "valueType": "BOOLEAN"});
    }
    given["eventId"] = json!(kept.len());
    given["status"] = json!("DRAFT");
    kept.insert(name, given);
    Script::ok(r#"{"warnings":[],"errors":[]}"#)
}

#[test]
fn nothing_is_sent_without_a_yes() {
    let world = World::new();
    let plan = world.push(&[]);
    assert_eq!(plan.code, 1, "{plan}");
    assert!(plan.stdout.contains("  hotel_booking: new there\n"), "{plan}");
    assert!(
        plan.stdout
            .contains("      field `booking_id` is new: string, isRequired, isUniqueKeyField\n"),
        "{plan}"
    );
    assert!(plan.stdout.ends_with("nothing was sent; `--yes` sends it\n"), "{plan}");
    assert_eq!(world.sent(), [] as [&str; 0]);
}

#[test]
fn made_changed_and_then_the_same() {
    let world = World::new();
    let made = world.push(&["--yes"]);
    assert_eq!(made.code, 0, "{made}");
    assert!(made.stdout.ends_with("hotel_booking: taken\n"), "{made}");
    assert_eq!(world.sent(), ["POST"]);
    let request = &world.server.requests()[1];
    assert_eq!(
        (request.target.as_str(), request.header("x-cap-api-oauth-token")),
        ("/v2/events", Some("hunter2"))
    );
    // Read back in the vendor's spelling, it is the same.
    let same = world.push(&["--yes"]);
    assert_eq!((same.code, world.sent().len()), (0, 1), "{same}");
    assert!(
        same.stdout.ends_with("  hotel_booking: the same\nnothing to send\n"),
        "{same}"
    );
    // A field more, and another type.
    world.define(
        "booking",
        &BOOKING
            .replace(
                r#""room_nights", "type": "integer""#,
                r#""room_nights", "type": "double""#,
            )
            .replace(
                r#"{"name": "age""#,
                r#"{"name": "plan", "type": "string", "attributes": {}}, {"name": "age""#,
            ),
    );
    let changed = world.push(&["--yes", "--json"]);
    assert_eq!(changed.code, 0, "{changed}");
    let told = changed.json();
    assert_eq!(
        told["plan"]["steps"][0]["changes"],
        json!([
            "field `plan` is new: string",
            "field `room_nights`: type: `integer` becomes `double`"
        ])
    );
    assert_eq!(
        (&told["sent"][0]["outcome"], &world.sent()[1]),
        (&json!("taken"), &"PUT".to_owned())
    );
    let whole: Value = serde_json::from_slice(&world.server.requests().last().expect("a request").body).expect("JSON");
    assert_eq!(whole["fields"].as_array().map(Vec::len), Some(5), "all of it is sent");
}

#[test]
fn what_the_vendor_forbids() {
    let world = World::new();
    world.push(&["--yes"]);
    world.publish("hotel_booking");
    world.define(
        "booking",
        &BOOKING.replace(
            r#",
            "isUniqueKeyField": {"value": "true", "valueType": "Boolean"}"#,
            "",
        ),
    );
    let forbidden = world.push(&["--yes"]);
    assert_eq!((forbidden.code, world.sent().len()), (1, 1), "{forbidden}");
    assert!(
        forbidden
            .stdout
            .contains("forbidden: `booking_id` is part of the unique key there"),
        "{forbidden}"
    );
    world.define(
        "booking",
        &BOOKING.replace(
            r#""room_nights", "type": "integer""#,
            r#""room_nights", "type": "double""#,
        ),
    );
    let warned = world.push(&[]);
    assert_eq!(warned.code, 1, "{warned}");
    assert!(warned.stdout.contains("warning: it is published there"), "{warned}");
}

#[test]
fn what_is_theirs_is_left_alone() {
    let world = World::new();
    let theirs = json!({"eventName": "theirs", "fields": []});
    world
        .kept
        .lock()
        .expect("no test panicked")
        .insert("theirs".to_owned(), theirs);
    let pushed = world.push(&["--yes"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    assert!(pushed.stdout.contains("  theirs: not here: left alone\n"), "{pushed}");
    assert_eq!(world.sent(), ["POST"]);
}

#[test]
fn a_no_says_which_and_what_to_do() {
    let world = World::new();
    world.define(
        "other",
        &BOOKING
            .replace("hotel_booking", "later")
            .replace("Hotel Booking", "Later"),
    );
    let check = |script: Script, outcome: &str, next: &str, words: &str| {
        world.server.next(Script::ok(r#"{"data":[]}"#));
        world.server.next(script);
        let pushed = world.push(&["--yes", "--json"]);
        assert_eq!(pushed.code, 1, "{pushed}");
        let sent = &pushed.json()["sent"];
        assert_eq!(
            (&sent[0]["outcome"], &sent[1]["outcome"]),
            (&json!(outcome), &json!(next)),
            "{pushed}"
        );
        let said = sent[0]["said"][0].as_str().unwrap_or_default();
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert!(
            sent[0]["file"]
                .as_str()
                .is_some_and(|file| file.ends_with("events/booking.json")),
            "{pushed}"
        );
        world.kept.lock().expect("no test panicked").clear();
    };
    let errors = |code: u64| json!({"warnings": [], "errors": [{"code": code, "message": "no hunter2"}]}).to_string();
    check(
        Script::status(400).with_body(errors(1823)),
        "refused",
        "taken",
        "code 1823, a field's type will not do: “no (secret)”",
    );
    check(
        Script::ok(errors(1806)),
        "refused",
        "taken",
        "run the push again: it looks first",
    );
    check(Script::status(422), "refused", "taken", "422");
    check(Script::status(401), "refused", "not_sent", "see that the token");
    check(Script::status(503), "refused", "not_sent", "503");
    check(Script::CutAfter, "unknown", "not_sent", "");
    check(Script::ok("<html>"), "unknown", "not_sent", "a web page");
}

#[test]
fn an_api_that_is_none() {
    let world = World::new();
    let check = |script: Script, words: &str| {
        world.server.next(script);
        let pushed = world.push(&["--yes"]);
        assert_eq!((pushed.code, pushed.stdout.as_str()), (2, ""), "{pushed}");
        assert!(
            pushed.stderr.contains(words) && !pushed.stderr.contains("hunter2"),
            "{pushed}"
        );
    };
    check(Script::ok("{}"), "see that `api_url` is the API's");
    check(Script::ok("<html>"), "see that `api_url` is the API's");
    check(Script::ok(r#"{"data":[],"errors":["no hunter2"]}"#), "(secret)");
    check(Script::status(401), "see that the token");
    check(Script::status(500), "500");
    check(Script::CutBefore, "asking");
    assert_eq!(world.sent(), [] as [&str; 0]);
}

#[test]
fn where_to_and_by_what_key() {
    let mut world = World::new();
    world.gate.variable("TOKEN", "hunter2");
    let url = world.server.url();
    let check = |args: &[&str], code: i32, words: &str| {
        let pushed = world.push(args);
        assert_eq!(pushed.code, code, "{args:?}: {pushed}");
        assert!(format!("{pushed}").contains(words), "{args:?}: {pushed}");
    };
    check(&["--to", "loyalty"], 1, "new there");
    check(
        &["--to", "nobody"],
        2,
        "there is no destination `nobody` of type \"capillary\"",
    );
    check(&["--url", &url, "--token-env", "TOKEN"], 1, "new there");
    check(&["--url", &url], 2, "nothing lets us in");
    check(&["--url", &url, "--token-env", "NONE"], 2, "is not set");
    check(
        &["--url", "http://example.com", "--token-env", "TOKEN"],
        2,
        "write `https://`",
    );
    check(&["--to", "loyalty", "--url", &format!("{url}/")], 1, "new there");
    let mut basic = World::with("user = \"me\"\npassword_env = \"PASSWORD\"\n");
    basic.gate.variable("PASSWORD", "hunter2");
    let pushed = basic.push(&["--yes"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    assert!(
        basic
            .server
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_some())
    );
    let nothing = Gate::new().cli(["definitions", "push"]);
    assert_eq!(nothing.code, 2, "{nothing}");
    assert!(
        nothing
            .stderr
            .contains("no destination of type \"capillary\" says where to"),
        "{nothing}"
    );
}
