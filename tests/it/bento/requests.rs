//! What is sent, against Bento's pages: its guide, step by step, and its page on batch events.

use feedgate::config::resolve::BentoSettings;
use feedgate::destination::receiver::{Answer, Call};
use serde_json::{Value, json};

use super::*;
use crate::house::http_server::{Request, Script};

/// What a request is: its method and target, the headers that matter, its body.
fn check(request: &Request, target: &str, body: &Value) {
    let query = format!("?site_uuid={SITE_UUID}");
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, format!("/api/v1/{target}{query}"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept"), Some("application/json"));
    let user_agent = format!("feedgate/{} ({SITE_UUID})", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(user_agent.as_str()));
    // `pub-3f1c9b7e:sec-a81d02c4`, by another program.
    assert_eq!(
        request.header("authorization"),
        Some("Basic cHViLTNmMWM5YjdlOnNlYy1hODFkMDJjNA==")
    );
    assert_eq!(&request.json(), body, "{target}");
}

/// An event as the page has it, with what we always add.
fn event(index: u64, mut event: Value) -> Value {
    event["email"] = json!("jesse@example.com");
    event["date"] = json!("2019-11-18T17:05:00.000Z");
    event["details"]["source"] = json!("event_history_20191118170500.json.zip");
    event["details"]["entry_key"] = json!(format!("c68720aed7be36d08e2daba7e95497bc-{index}"));
    event
}

#[test]
fn the_guide_step_by_step() {
    let server = HttpServer::start();
    let visitor = json!({"data": {"id": "569", "type": "visitors", "attributes": {
        "uuid": "29114b07bcfedbff608e5223e88fadc0", "email": "jesse@example.com", "fields": null, "cached_tag_ids": ["233"]}}});
    server.next(Script::json(&json!({"result": 1})));
    server.next(Script::json(&visitor));
    server.next(Script::json(&visitor));
    server.next(Script::json(&json!({"results": 1})));
    server.next(Script::json(&json!({"results": 1, "failed": 0})));
    let mut bento = open(BentoSettings {
        profile: pairs(&[
            ("name", "name"),
            ("customer_id", "customer_id"),
            ("food", "favourite_food"),
        ]),
        tags: vec![("Registered".to_owned(), vec!["example".to_owned()])],
        set_fields: vec![("Registered".to_owned(), pairs(&[("name", "name")]))],
        ..settings(&server)
    });
    let body = r#"{"event":"Registered","name":"Jesse","customer_id":"123","food":"onigiri"}"#;
    add_all(&mut *bento, &[entry(0, "Registered", body)]);

    assert_eq!(bento.calls_before(), 4);
    for number in 0..4 {
        assert_eq!(bento.make(&Call::Before(number)), Answer::Delivered, "{number}");
    }
    assert_eq!(bento.make(&Call::Parcel(0..1)), Answer::Delivered);

    let requests = server.requests();
    let email = "jesse@example.com";
    check(
        &requests[0],
        "batch/subscribers",
        &json!({"site_uuid": SITE_UUID, "subscribers": [
            {"email": email, "name": "Jesse", "customer_id": "123", "favourite_food": "onigiri"}]}),
    );
    check(
        &requests[1],
        "fetch/subscribers",
        &json!({"site_uuid": SITE_UUID, "subscriber": {"email": email}}),
    );
    check(
        &requests[2],
        "fetch/commands",
        &json!({"site_uuid": SITE_UUID, "command": {"command": "add_tag", "email": email, "query": "example"}}),
    );
    check(
        &requests[3],
        "fetch/commands",
        &json!({"site_uuid": SITE_UUID, "command": {
            "command": "add_field", "email": email, "query": {"key": "name", "value": "Jesse"}}}),
    );
    check(
        &requests[4],
        "batch/events",
        &json!({"site_uuid": SITE_UUID, "events": [event(0, json!({"type": "$registered", "details": {
            "name": "Jesse", "customer_id": "123", "food": "onigiri"}}))]}),
    );
    assert_eq!(requests.len(), 5);
}

#[test]
fn the_page_on_batch_events() {
    let server = HttpServer::start();
    server.always(Script::json(&json!({"results": 6, "failed": 0})));
    let mut bento = open(BentoSettings {
        fields: pairs(&[("first_name", "first_name"), ("last_name", "last_name")]),
        currency: Some("USD".to_owned()),
        ..settings(&server)
    });
    let backdated = Event {
        at: 1_479_402_300_000,
        ..entry(5, "Backdated Event", "{}")
    };
    add_all(
        &mut *bento,
        &[
            entry(0, "Custom Event", r#"{"first_name":"Jesse","custom_stat":1000}"#),
            entry(
                1,
                "$custom_event_with_no_details",
                r#"{"first_name":"Jesse","last_name":"Hanley"}"#,
            ),
            entry(2, "Custom Event With Nothing Else", "{}"),
            entry(
                3,
                "Completed Order",
                r#"{"first_name":"Jesse","orderId":"test123","total":80.00}"#,
            ),
            entry(
                4,
                "Completed Order",
                r#"{"first_name":"Jesse","orderId":"test123","total":80.00,"cart":{
                    "products":[{"sku":"SKU123","name":"Test","quantity":100}],
                    "abandoned_checkout_url":"https://test.com"}}"#,
            ),
            backdated,
        ],
    );

    assert_eq!(bento.calls_before(), 0);
    assert_eq!(bento.make(&Call::Parcel(0..6)), Answer::Delivered);

    let jesse = json!({"first_name": "Jesse"});
    let value = json!({"currency": "USD", "amount": 8000});
    let mut last = event(5, json!({"type": "$backdated_event", "details": {}}));
    last["date"] = json!("2016-11-17T17:05:00.000Z");
    check(
        &server.requests()[0],
        "batch/events",
        &json!({"site_uuid": SITE_UUID, "events": [
            event(0, json!({"type": "$custom_event", "fields": jesse, "details": {"custom_stat": 1000}})),
            event(1, json!({"type": "$custom_event_with_no_details", "fields": {
                "first_name": "Jesse", "last_name": "Hanley"}, "details": {}})),
            event(2, json!({"type": "$custom_event_with_nothing_else", "details": {}})),
            event(3, json!({"type": "$purchase", "fields": jesse, "details": {
                "unique": {"key": "test123"}, "value": value}})),
            event(4, json!({"type": "$purchase", "fields": jesse, "details": {
                "unique": {"key": "test123"}, "value": value, "cart": {
                    "items": [{"product_sku": "SKU123", "product_name": "Test", "quantity": 100}],
                    "abandoned_checkout_url": "https://test.com"}}})),
            last,
        ]}),
    );
}

#[test]
fn the_page_with_workflows_bypassed() {
    let server = HttpServer::start();
    server.always(Script::json(&json!({"results": 1, "failed": 0})));
    let mut bento = open(BentoSettings {
        bypass_workflows: true,
        ..settings(&server)
    });
    add_all(&mut *bento, &[entry(0, "Custom Event With Workflow Bypass", "{}")]);
    assert_eq!(bento.make(&Call::Parcel(0..1)), Answer::Delivered);
    check(
        &server.requests()[0],
        "batch/events",
        &json!({"site_uuid": SITE_UUID, "events": [event(0, json!({
            "type": "$custom_event_with_workflow_bypass", "details": {"bypass_workflows": "true"}}))]}),
    );
}

#[test]
fn the_partners_example_as_an_order_and_as_what_became_of_it() {
    let server = HttpServer::start();
    server.always(Script::json(&json!({"results": 2, "failed": 0})));
    let mut bento = open(settings(&server));
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/feeds/vendor_example_comma_mended.json"
    );
    let feed = std::fs::read_to_string(path).expect("the fixture");
    let body = feed.trim().trim_start_matches('[').trim_end_matches(']').trim();
    let of = |index, event| Event {
        user_id: Some("e6bce5b3"),
        business_unit: Some("DE"),
        ..entry(index, event, body)
    };
    add_all(&mut *bento, &[of(0, "Completed Order"), of(1, "Changed Order Status")]);
    assert_eq!(bento.make(&Call::Parcel(0..2)), Answer::Delivered);

    let fields = json!({"external_id": "e6bce5b3", "business_unit": "DE"});
    let order = json!({"type": "$purchase", "fields": fields, "details": {
        "unique": {"key": "DE:0006000384"},
        "value": {"currency": "EUR", "amount": 798},
        "cart": {"items": [{
            "product_sku": "AMA0159270DE", "product_name": "Ribbon Lace, B:2,5cm x L:3m, white",
            "product_id": "AMA0159270DE", "product_price": 399, "quantity": 2,
            "category": "Decorative Bands", "currency": "EUR"}]},
        "orderType": "Click & Reserve Order", "numberOfUniqueItems": 1, "numberOfItems": 2,
        "discount": 0, "shipping": 0}});
    let changed = json!({"type": "$order_status_changed", "fields": fields, "details": {
        "order_id": "0006000384",
        "orderType": "Click & Reserve Order", "numberOfUniqueItems": 1, "numberOfItems": 2,
        "total": 7.98, "discount": 0, "shipping": 0,
        "cart": {"currency": "EUR", "total": 7.98, "products": [{
            "sku": "AMA0159270DE", "currency": "EUR", "quantity": 2, "price": 3.99,
            "name": "Ribbon Lace, B:2,5cm x L:3m, white", "category": "Decorative Bands", "id": "AMA0159270DE"}]}}});
    check(
        &server.requests()[0],
        "batch/events",
        &json!({"site_uuid": SITE_UUID, "events": [event(0, order), event(1, changed)]}),
    );
}

#[test]
fn a_parcel_in_parts_is_the_same_events() {
    let server = HttpServer::start();
    server.always(Script::json(&json!({"results": 1000, "failed": 0})));
    let mut bento = open(BentoSettings {
        batch_events: 1000,
        ..settings(&server)
    });
    assert_eq!(bento.bounds().events, 1000);
    let body = r#"{"price":5.00,"text":"\ud83d\u0000"}"#;
    let events: Vec<Event<'_>> = (0..1000).map(|index| entry(index, "Viewed Product", body)).collect();
    add_all(&mut *bento, &events);
    for range in [0..1000, 0..1, 1..500, 500..1000] {
        assert_eq!(bento.make(&Call::Parcel(range.clone())), Answer::Delivered, "{range:?}");
    }
    bento.clear();
    add_all(&mut *bento, &events[1..500]);
    assert_eq!(bento.make(&Call::Parcel(0..499)), Answer::Delivered);

    let requests = server.requests();
    let sent = |number: usize| requests[number].json()["events"].as_array().expect("events").clone();
    let in_parts: Vec<Value> = (1..4).flat_map(sent).collect();
    assert_eq!(sent(0), in_parts);
    assert_eq!(requests[2].body, requests[4].body);
    // Money as it is spelt; half a character is none.
    assert!(
        requests[1]
            .text()
            .contains(r#""details":{"price":5.00,"text":"\ufffd\u0000","#)
    );
}

#[test]
fn the_dial_changes_nothing() {
    let server = HttpServer::start();
    server.next(Script::json(
        &json!({"data": [{"id": "1", "type": "tags", "attributes": {"name": "customer"}}]}),
    ));
    let settings = BentoSettings {
        tags: vec![("Registered".to_owned(), vec!["customer".to_owned(), "new".to_owned()])],
        ..settings(&server)
    };
    assert_eq!(destination::check(&destination(settings)), Ok(()));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].target, format!("/api/v1/fetch/tags?site_uuid={SITE_UUID}"));
    assert!(requests[0].body.is_empty());
    assert_eq!(requests[0].header("content-type"), None);
    assert!(requests[0].header("authorization").is_some());
    assert!(requests[0].header("user-agent").is_some());
}
