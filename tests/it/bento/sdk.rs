//! The same people, orders and events by Bento's official Node SDK: its requests and ours, held against each other.
//!
//! `tests/run` installs the SDK, at a version of its choice, where there is Node; nothing of it is part of the project. Where
//! the SDK is not, the test says so and proves nothing.
//!
//! Two kinds of difference are meant, and taken out before the comparison:
//!
//! - The SDK names the site in the body alone; we name it in the query as well, as Bento's reference wants it.
//! - We add `source` and `entry_key` to each event's `details`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use feedgate::config::resolve::BentoSettings;
use feedgate::destination::receiver::{Answer, Call};
use serde_json::Value;

use super::*;
use crate::house::http_server::{Request, Script};

/// Where `tests/run` puts the SDK.
fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/@bentonow/bento-node-sdk")
}

/// An answer that both understand.
fn server() -> HttpServer {
    let server = HttpServer::start();
    server.always(Script::ok(r#"{"results":5,"failed":0,"data":[]}"#));
    server
}

#[test]
fn the_official_node_sdk_sends_the_same() {
    let sdk = sdk();
    let has_node = Command::new("node").arg("--version").output().is_ok();
    if !has_node || !sdk.join("dist/index.js").is_file() {
        // Past the harness, which keeps what a passing test prints to itself.
        writeln!(
            std::io::stderr(),
            "NOT TRIED: Bento's Node SDK is not in {}, so nothing is compared with it; `tests/run` installs it where there \
             is npm and a network",
            sdk.display()
        )
        .ok();
        return;
    }
    let theirs = by_the_sdk(&sdk);
    let ours = by_the_destination();
    assert_eq!(theirs.len(), 8, "{theirs:#?}");
    assert_eq!(ours.len(), 8, "{ours:#?}");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        let path = ours.target.split('?').next().unwrap_or_default();
        assert_eq!(theirs.method, ours.method);
        assert_eq!(theirs.target.split('?').next(), Some(path));
        assert_eq!(theirs.header("authorization"), ours.header("authorization"), "{path}");
        assert_eq!(theirs.header("content-type"), ours.header("content-type"), "{path}");
        for request in [theirs, ours] {
            let user_agent = request.header("user-agent").unwrap_or_default();
            assert!(user_agent.contains(SITE_UUID), "{path}: {user_agent}");
        }
        if ours.method == "GET" {
            assert_eq!(theirs.target, ours.target);
            continue;
        }
        assert_eq!(theirs.json(), without_additions(ours), "{path}");
    }
}

/// The requests of the SDK.
fn by_the_sdk(sdk: &Path) -> Vec<Request> {
    let server = server();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/bento-sdk.mjs");
    let ran = Command::new("node")
        .arg(script)
        .arg(sdk)
        .arg(format!("{}/api/v1", server.url()))
        .args([PUBLISHABLE_KEY, SECRET_KEY, SITE_UUID])
        .output()
        .expect("node runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    server.requests()
}

/// The requests of the destination, for a feed that says the same.
fn by_the_destination() -> Vec<Request> {
    let server = server();
    people(&server);
    events(&server);
    let bypassing = BentoSettings {
        bypass_workflows: true,
        ..settings(&server)
    };
    send(bypassing, &[entry(0, "Imported", r#"{"event":"Imported"}"#)]);
    let in_yen = BentoSettings {
        currency: Some("JPY".to_owned()),
        ..settings(&server)
    };
    send(
        in_yen,
        &[entry(0, "Completed Order", r#"{"orderId":42,"total":"1200"}"#)],
    );
    assert_eq!(destination::check(&destination(settings(&server))), Ok(()));
    server.requests()
}

/// What is said of people before their events.
fn people(server: &HttpServer) {
    let mut bento = open(BentoSettings {
        profile: pairs(&[
            ("/person/name", "name"),
            ("/person/age", "age"),
            ("newsletter", "newsletter"),
        ]),
        tags: vec![("Registered".to_owned(), vec!["customer".to_owned()])],
        set_fields: vec![("Registered".to_owned(), pairs(&[("name", "/person/name")]))],
        ..settings(server)
    });
    let jesse = r#"{"person":{"name":"Jesse","age":41},"newsletter":true}"#;
    let scott = Event {
        email: Some("scott@example.com"),
        ..entry(1, "Viewed Product", r#"{"person":{"name":"Scott"}}"#)
    };
    add_all(&mut *bento, &[entry(0, "Registered", jesse), scott]);
    for number in 0..bento.calls_before() {
        assert_eq!(bento.make(&Call::Before(number)), Answer::Delivered, "{number}");
    }
}

/// An order, and events of other kinds.
fn events(server: &HttpServer) {
    let order = r#"{"orderId":"0006000384","total":46.13,"cart":{"currency":"EUR","total":46.13,
        "abandoned_checkout_url":"https://shop.example.com/cart","products":[
        {"id":"1","sku":"AB1234","name":"Cap","category":"Hats","price":10.99,"quantity":1},
        {"id":"2","sku":"AB1235","name":"Scarf","price":17.57,"quantity":2}]}}"#;
    let viewed = r#"{"sku":"AB1234","price":10.75,"tags":["new","blue"],"page":{"path":"/caps","depth":2},
        "ok":true,"note":null}"#;
    let subscribed = Event {
        email: Some("scott@example.com"),
        user_id: Some("DE85328"),
        business_unit: Some("DE"),
        at: 1_527_026_400_123,
        ..entry(
            2,
            "Subscribed Newsletter",
            r#"{"firstName":"\u0160kott \u201cx”","list":"Gr\u00f6ße & <Maß> \u2028 \ud83d\ude00"}"#,
        )
    };
    let fields = BentoSettings {
        fields: pairs(&[("firstName", "first_name")]),
        ..settings(server)
    };
    let order = Event {
        business_unit: Some("DE"),
        ..entry(0, "Completed Order", order)
    };
    let returned = entry(3, "Changed Order Status", r#"{"orderId":1234,"status":"return"}"#);
    send(
        fields,
        &[order, entry(1, "Viewed Product", viewed), subscribed, returned],
    );
}

fn send(settings: BentoSettings, events: &[Event<'_>]) {
    let mut bento = open(settings);
    add_all(&mut *bento, events);
    assert_eq!(bento.calls_before(), 0);
    assert_eq!(bento.make(&Call::Parcel(0..events.len())), Answer::Delivered);
}

/// A body of ours without what we add to events.
fn without_additions(request: &Request) -> Value {
    let mut body = request.json();
    for event in body
        .get_mut("events")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let details = event["details"].as_object_mut().expect("details");
        for ours in ["source", "entry_key"] {
            assert!(details.remove(ours).is_some(), "{ours}");
        }
    }
    body
}
