//! What is sent of which entries, and what is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::resolve::Endpoint;
use crate::definition::DefinitionFile;
use crate::events::EventId;

/// A definition with a field of every sort that matters here.
const BOOKING: &str = r#"{
    "eventName": "hotel_booking", "actions": ["EIConsumer"],
    "fields": [
        {"name": "customer", "type": "customer", "attributes": {
            "isRequired": {"value": "true", "valueType": "Boolean"},
            "identifierType": {"value": "externalId", "valueType": "Enum"}}},
        {"name": "booking_id", "type": "string", "attributes": {"isRequired": {"value": "true", "valueType": "Boolean"}}},
        {"name": "room_nights", "type": "integer", "attributes": {}},
        {"name": "age", "type": "double", "attributes": {"isPsiData": {"value": "true", "valueType": "Boolean"}}},
        {"name": "breakfast", "type": "boolean", "attributes": {}},
        {"name": "arrival", "type": "date", "attributes": {}},
        {"name": "skus", "type": "string", "attributes": {}},
        {"name": "till", "type": "tillCode", "attributes": {}}
    ],
    "feed": {"fields": {"booking_id": "booking.id", "skus": "rooms[].sku"}}
}"#;

fn definitions(text: &str) -> Option<Arc<Definitions>> {
    let file = DefinitionFile {
        name: "a.json".to_owned(),
        text: text.to_owned(),
    };
    Some(Arc::new(Definitions::parse(&[file], &[]).expect("definitions")))
}

fn settings() -> CapillarySettings {
    CapillarySettings {
        endpoint: Endpoint::plain("https://example.com".to_owned()),
        authorization: None,
        definitions: definitions(BOOKING),
        without_definition: WithoutDefinition::Refuse,
        without_identifier: WithoutEmail::Hold,
        till_code: None,
        org_resolver: Vec::new(),
        requests_per_hour: None,
        burst: 10,
        api: None,
    }
}

fn an_event(body: &str) -> Event<'_> {
    Event {
        id: EventId {
            key: "00ff",
            index: 12,
            item: 0,
        },
        import: 1,
        source: "acme",
        archive: "event_history_20191118170500.json.zip",
        index: 12,
        event: "Hotel Booking",
        renamed: None,
        user_id: None,
        email: None,
        business_unit: None,
        at: 1_574_096_700_123,
        body,
    }
}

fn map(settings: &CapillarySettings, event: &Event<'_>) -> Result<Mapped, Added> {
    Mapping::new(settings).map(event)
}

fn sent(settings: &CapillarySettings, event: &Event<'_>) -> String {
    map(settings, event).expect("an event").body
}

#[test]
fn every_value_is_a_text() {
    let body = r#"{"event":"Hotel Booking","id":42,"booking":{"id":"B-\u00e91"},"room_nights":2,"age":36.50,
        "breakfast":true,"arrival":"2016-04-05 07:00:43.591+02","rooms":[{"sku":"A"},{"sku":"B,C"}],"more":1}"#;
    assert_eq!(
        sent(&settings(), &an_event(body)),
        concat!(
            r#"{"event_name":"hotel_booking","externalId":"42","booking_id":"B-é1","room_nights":"2","age":"36.50","#,
            r#""breakfast":"true","arrival":"2016-04-05T05:00:43Z","skus":"A,B,C","eventDateTime":"2019-11-18T17:05:00Z"}"#
        )
    );
}

#[test]
fn nothing_null_and_blank_are_left_out() {
    let body = r#"{"id":"u","booking":{"id":"B"},"room_nights":null,"age":" ","arrival":"2016-04-05","rooms":[]}"#;
    let expect =
        r#"{"event_name":"hotel_booking","externalId":"u","booking_id":"B","arrival":"2016-04-05","eventDateTime":"#;
    let sent = sent(&settings(), &an_event(body));
    assert!(sent.starts_with(expect), "{sent}");
}

#[test]
fn tills_and_organisations() {
    let settings = CapillarySettings {
        till_code: Some("t1".to_owned()),
        org_resolver: vec![
            ("type".to_owned(), "child".to_owned()),
            ("childOrgId".to_owned(), "7".to_owned()),
        ],
        ..settings()
    };
    let check = |body: &str, expect: &str| {
        let sent = sent(&settings, &an_event(body));
        assert!(sent.contains(expect) && sent.matches("till").count() == 1, "{sent}");
    };
    check(r#"{"id":"u","booking":{"id":"B"}}"#, r#","till":"t1","#);
    check(r#"{"id":"u","booking":{"id":"B"},"till":"own"}"#, r#","till":"own","#);
    check(
        r#"{"id":"u","booking":{"id":"B"}}"#,
        r#"Z","orgResolver":{"type":"child","childOrgId":"7"}}"#,
    );
    let without_a_field = CapillarySettings {
        definitions: definitions(&BOOKING.replace("tillCode", "string")),
        ..settings.clone()
    };
    let sent = sent(&without_a_field, &an_event(r#"{"id":"u","booking":{"id":"B"}}"#));
    assert!(sent.contains(r#","tillCode":"t1","eventDateTime""#), "{sent}");
}

#[test]
fn whose_event_it_is() {
    let of = |identifier: &str| CapillarySettings {
        definitions: definitions(&BOOKING.replace("externalId", identifier)),
        ..settings()
    };
    let check = |identifier: &str, event: Event<'_>, expect: &str| {
        let sent = sent(&of(identifier), &event);
        assert!(sent.contains(expect), "{sent}");
    };
    let entry = r#"{"id":"u","email":"ada@example.com","mobile":49170000000,"booking":{"id":"B"}}"#;
    check("externalId", an_event(entry), r#""externalId":"u""#);
    check("email", an_event(entry), r#""email":"ada@example.com""#);
    check("mobile", an_event(entry), r#""mobile":"49170000000""#);
    // What the entry lacks may be known of the person.
    let known = Event {
        user_id: Some("u7"),
        email: Some("known@example.com"),
        ..an_event(r#"{"booking":{"id":"B"}}"#)
    };
    check("externalId", known, r#""externalId":"u7""#);
    check("email", known, r#""email":"known@example.com""#);
    let held = map(&of("mobile"), &known).expect_err("nobody knows it");
    let reason = "it has no `mobile`, by which its definition knows customers".to_owned();
    assert_eq!(held, Added::Held { reason });
}

#[test]
fn what_is_known_by_another_name() {
    let event = Event {
        renamed: Some("booked"),
        ..an_event(r#"{"id":"u","booking":{"id":"B"}}"#)
    };
    let sent = sent(&settings(), &event);
    assert!(sent.starts_with(r#"{"event_name":"booked","#), "{sent}");
}

#[test]
fn what_cannot_be_sent() {
    let check = |settings: &CapillarySettings, event: Event<'_>, expect: &str| {
        let found = match map(settings, &event).expect_err("nothing to send") {
            Added::Taken => "taken".to_owned(),
            Added::Dropped => "dropped".to_owned(),
            Added::Held { reason } => format!("held: {reason}"),
            Added::Refused { reason } => format!("refused: {reason}"),
        };
        assert!(found.starts_with(expect), "{found}");
    };
    let with = |without_definition, without_identifier| CapillarySettings {
        without_definition,
        without_identifier,
        ..settings()
    };
    let (refuse, drop) = (WithoutDefinition::Refuse, WithoutDefinition::Drop);
    let other = Event {
        event: "Other\u{1b}",
        ..an_event(r#"{"id":"u"}"#)
    };
    check(
        &with(refuse, WithoutEmail::Hold),
        other,
        r"refused: the event `Other\u{1b}` has no definition",
    );
    check(&with(drop, WithoutEmail::Hold), other, "dropped");
    let nobody = an_event(r#"{"booking":{"id":"B"}}"#);
    check(
        &with(refuse, WithoutEmail::Hold),
        nobody,
        "held: it has no `externalId`",
    );
    check(
        &with(refuse, WithoutEmail::Refuse),
        nobody,
        "refused: it has no `externalId`",
    );
    check(&with(refuse, WithoutEmail::Drop), nobody, "dropped");
    check(
        &settings(),
        an_event(r#"{"id":"u"}"#),
        "refused: it lacks `booking_id` (`booking.id` in the entry)",
    );
    check(
        &settings(),
        an_event(r#"{"id":"u","booking":{"id":["B"]}}"#),
        "refused: where its field `booking_id` lies is an object or an array",
    );
    let ancient = Event {
        at: i64::MIN / 2,
        ..an_event(r#"{"id":"u","booking":{"id":"B"}}"#)
    };
    check(&settings(), ancient, "refused: its time");
}

#[test]
fn what_no_reason_may_quote() {
    let body = r#"{"id":"user-1","booking":{"id":"B"},"age":36.5,"room_nights":3}"#;
    let mapped = map(&settings(), &an_event(body)).expect("an event");
    assert_eq!(mapped.private, ["user-1", "36.5"]);
    let body = r#"{"id":"u","booking":{"id":"B"},"age":36}"#;
    let mapped = map(&settings(), &an_event(body)).expect("an event");
    assert_eq!(
        mapped.private,
        [] as [&str; 0],
        "what is so short is in ordinary words too"
    );
}

proptest! {
    /// Whatever is in an entry: what is sent is one flat object of texts, with no key twice.
    #[test]
    fn a_flat_object_of_texts(
        id in prop_oneof![Just(json!("u")), Just(json!(7)), Just(json!("\u{1}\"\\")), Just(json!(null))],
        nights in prop_oneof![any::<i64>().prop_map(|n| json!(n)), Just(json!("x")), Just(json!(true)), Just(json!({"a": 1}))],
        skus in prop::collection::vec(prop_oneof![any::<String>().prop_map(|s| json!({"sku": s})), Just(json!(1))], 0..4),
    ) {
        let body = json!({"id": id, "booking": {"id": "B"}, "room_nights": nights, "rooms": skus}).to_string();
        if let Ok(mapped) = map(&settings(), &an_event(&body)) {
            let keys = mapped.body.matches("\"event_name\":").count();
            prop_assert_eq!(keys, 1, "{}", &mapped.body);
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&mapped.body).expect("an object");
            prop_assert!(object.values().all(serde_json::Value::is_string), "{}", mapped.body);
            prop_assert_eq!(object.contains_key("rooms"), false);
        }
    }
}
