//! What an entry that breaks its definition comes to: a reject with the field's pointer, its place, what was found and what
//! is wanted; and what is frozen.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::*;

const ORDERS: &str = r#"[
  {"event":"Completed Order","id":"DE1","orderId":"0006000384","cart":{"total":7.98,"currency":"EUR","products":[
    {"sku":"A1","quantity":2},
    {"sku":"A2"}]},"channel":"web","gift":false,"delivery":{"date":"2024-05-22"}},
  {"event":"Completed Order","id":"DE2","orderId":"0006000385","cart":{"total":"7.98","currency":"eur","products":[
    {"sku":"A1","quantity":2.5},
    {"quantity":1}]},"channel":"fax","gift":"no","delivery":{"date":"soon"}},
  {"event":"Completed Order","id":"DE3","orderId":"X1","cart":{"total":null,"products":[]}},
  {"event":"Completed Order","email":"ada@example.com","businessUnit":"DE","orderId":"0006000386","cart":"none"},
  {"event":"Viewed Page","id":"DE4","orderId":7}
]"#;

/// Code, pointer, line, column and message of every reason.
fn reasons(receipt: &Value) -> Vec<String> {
    let rejects = receipt["rejects"].as_array().expect("rejects");
    let reasons = rejects
        .iter()
        .flat_map(|reject| reject["reasons"].as_array().expect("reasons"));
    reasons
        .map(|reason| {
            let text = |key: &str| reason[key].as_str().expect("a text").to_owned();
            let at = &reason["at"];
            format!(
                "{} {} {}:{} {}",
                text("code"),
                text("pointer"),
                at["line"],
                at["column"],
                text("message")
            )
        })
        .collect()
}

#[test]
fn each_reason_has_a_pointer_a_place_and_what_is_wanted() {
    let (gate, root) = gate_with(&[("orders.json", &fixture("completed_order.json"))]);
    let name = upload(&root, MONDAY, ORDERS);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");

    let import = gate.import(&name);
    assert_eq!((&import["accepted"], &import["rejected"]), (&json!(2), &json!(3)));
    let receipt = fs::read_to_string(root.join(format!("receipts/{name}.receipt.json"))).expect("a receipt");
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    assert_eq!(
        reasons(&receipt),
        [
            "definition_field_type /cart/total 5:80 `cart.total` is a string (\"7.98\"); `completedOrder` wants a number",
            "definition_value /cart/currency 5:98 `cart.currency` (\"eur\") is no currency; its ISO code is wanted, three capital letters such as `EUR`",
            "definition_field_missing /cart/products/1/sku 7:5 `cart.products[].sku` is missing; `completedOrder` requires a text",
            "definition_field_type /cart/products/0/quantity 6:28 `cart.products[].quantity` is a number with a fraction or an exponent (2.5); `completedOrder` wants a number without fraction and exponent",
            "definition_value /channel 7:32 `channel` (\"fax\") is none of the values that are possible: `web`, `app`, `store`",
            "definition_field_type /gift 7:45 `gift` is a string (\"no\"); `completedOrder` wants `true` or `false`, without quotation marks",
            "definition_value /delivery/date 7:69 `delivery.date` (\"soon\") is no date; a date such as `2024-05-22`, or a time such as `2024-05-22T22:00:00Z` is wanted",
            "definition_value /orderId 8:51 `orderId` (\"X1\") is not, as a whole, of the form `[0-9]{4,10}`",
            "definition_field_missing /cart/total 8:72 `cart.total` is null; `completedOrder` requires a number",
            "definition_field_missing /cart/products 8:88 `cart.products[].sku` has no elements; `completedOrder` requires a text",
            "definition_field_missing /id 9:3 `id` is missing; `completedOrder` requires a text, or an integer",
            "definition_field_type /cart 9:106 `cart` is a string; an object is wanted, in which `completedOrder` has `cart.total`",
        ]
    );
    for code in ["definition_field_missing", "definition_field_type", "definition_value"] {
        assert!(receipt["how_to_fix"][code].is_string(), "{code}: {receipt:#}");
    }
    let delivered: Vec<i64> = gate
        .events()
        .iter()
        .map(|event| event["index"].as_i64().expect("an index"))
        .collect();
    assert_eq!(delivered, [0, 4]);

    // The same before anything is uploaded: on the partner's own machine.
    let feed = gate.dir().join("feed.json");
    fs::write(&feed, ORDERS).unwrap();
    for command in [
        vec!["pack", "feed.json", "--json"],
        vec![
            "check",
            "--json",
            root.join("processed").join(&name).to_str().expect("a path"),
        ],
    ] {
        let vetted = gate.cli(&command);
        assert_eq!(vetted.code, 1, "{vetted}");
        assert_eq!(reasons(&vetted.json()), reasons(&receipt), "{command:?}");
    }
}

#[test]
fn the_vendors_own_example_takes_its_own_event() {
    let (gate, root) = gate_with(&[("hotel.json", &fixture("hotel_booking.json"))]);
    let name = upload(
        &root,
        MONDAY,
        r#"[{"event":"hotel_booking","id":"1","mobile":"49170000000","booking_id":"B-1","age":47},
            {"event":"Hotel Booking","id":"2","mobile":49170000000,"booking_id":"B-2","room_nights":"2"},
            {"event":"Hotel-Booking","id":"3","booking_id":"B-3","age":"47"}]"#,
    );
    assert_eq!(gate.once().code, 0);
    let import = gate.import_in_full(&name);
    let codes: Vec<&str> = import["rejects"][0]["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        ["definition_field_missing", "definition_field_type"],
        "{import:#}"
    );
    assert_eq!(gate.import(&name)["accepted"], 2);
}

#[test]
fn an_event_without_a_definition_is_rejected_if_the_operator_wants_so() {
    let (mut gate, root) = gate_with(&[("hotel.json", &fixture("hotel_booking.json"))]);
    gate.section("[definitions]\nunknown_events = \"reject\"");
    let name = upload(
        &root,
        MONDAY,
        r#"[{"event":"Hotel Booking","id":"1","mobile":"4","booking_id":"B"},{"event":"Hotel Bookings","id":"1"}]"#,
    );
    assert_eq!(gate.once().code, 0);
    let reason = &gate.import_in_full(&name)["rejects"][0]["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["pointer"]),
        (&json!("definition_unknown_event"), &json!("/event"))
    );
    assert_eq!(
        reason["message"],
        "\"Hotel Bookings\" is no event that is known here; one that has a definition is wanted"
    );
}

#[test]
fn what_was_in_force_is_frozen_with_each_import() {
    let (gate, root) = gate_with(&[]);
    let hotel = fixture("hotel_booking.json");
    // Each is another booking: the same one would be a duplicate.
    let entry = |booking: &str| {
        format!(r#"[{{"event":"Hotel Booking","id":"1","mobile":"4","booking_id":"{booking}","age":1}}]"#)
    };
    let frozen = || -> Vec<Option<(String, String)>> {
        let ledger = Connection::open(gate.ledger()).expect("the ledger");
        let mut select = ledger
            .prepare(
                "SELECT hash, text FROM imports LEFT JOIN definitions ON hash = reading ->> 'definitions' ORDER BY seq",
            )
            .expect("a query");
        let row = |row: &rusqlite::Row<'_>| Ok(row.get::<_, Option<String>>(0)?.zip(row.get(1)?));
        select
            .query_map([], row)
            .expect("rows")
            .map(|row| row.expect("a row"))
            .collect()
    };
    let import = |digits: &str, definition: Option<&str>| {
        if let Some(text) = definition {
            define(&gate, "hotel.json", text);
        }
        upload(&root, digits, &entry(digits));
        assert_eq!(gate.once().code, 0);
    };
    import("20260201000000", None);
    import("20260202000000", Some(&hotel));
    // Written otherwise, it is the same.
    import(
        "20260203000000",
        Some(&hotel.replace('\n', " ").replace("\"true\"", "true")),
    );
    import("20260204000000", Some(&hotel.replace("age", "years")));

    let frozen = frozen();
    assert_eq!(frozen.len(), 4);
    assert_eq!(frozen[0], None, "an import without definitions has none");
    assert_eq!(frozen[1], frozen[2]);
    assert_ne!(frozen[2], frozen[3]);
    let (hash, text) = frozen[1].clone().expect("frozen");
    let read = feedgate::definition::Definitions::frozen(&text).expect("what was frozen can be read");
    assert_eq!(read.hash(), hash);
    // The age is masked where its own definition says so, whatever the one of today says.
    let bodies: Vec<Value> = gate.events().iter().map(|event| event["body"]["age"].clone()).collect();
    assert_eq!(bodies, [json!(1), json!("***"), json!("***"), json!(1)]);
}
