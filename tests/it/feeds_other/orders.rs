//! The rules of the order feed.

use super::*;

const MONDAY: &str = "20240527080000";
const TUESDAY: &str = "20240528080000";

#[test]
fn an_order_feed_is_imported_and_its_times_are_read_in_all_three_forms() {
    let (gate, root) = gate_with("");
    let name = upload_orders(
        &root,
        MONDAY,
        r#"[{"orderId":"SK1","id":"DE1","timestamp":"2018-05-22T22:00:00Z","total":49.99,"shipping":5.00,"discount":10,
             "coupon":"SUMMER16","currency":"EUR"},
            {"event":"Completed Order","orderId":"SK2","id":"DE1","timestamp":"2016-04-18 07:00:43.591+02","total":1},
            {"event":"Completed Order","orderId":3,"id":"DE1","timestamp":"2016-04-18 07.00.43.591+02","total":-1.5e1},
            {"event":"Changed Order Status","orderId":"SK1","id":"DE1","timestamp":"2018-05-24","status":"return"},
            {"event":"Subscribed Newsletter","id":"DE1"}]"#,
    );
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    let import = gate.import_in_full(&name);
    assert_eq!(import["feed"], "orders", "{import:#}");
    assert_eq!(
        (&import["accepted"], &import["rejected"]),
        (&5.into(), &0.into()),
        "{import:#}"
    );
    assert_eq!(import["warnings_by_code"][0]["code"], "order_id_number", "{import:#}");
    let names: Vec<Value> = gate.events().into_iter().map(|event| event["event"].clone()).collect();
    // The first one names no event, and is what a feed of the older form means.
    let expect = [
        "Completed Order",
        "Completed Order",
        "Completed Order",
        "Changed Order Status",
        "Subscribed Newsletter",
    ];
    assert_eq!(names, expect);
    let stored = rusqlite::Connection::open(gate.state_dir().join("events.db")).expect("the database");
    let times: Vec<String> = stored
        .prepare("SELECT time FROM events ORDER BY n LIMIT 4")
        .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
        .expect("the times");
    let expect = [
        "2018-05-22T22:00:00.000Z",
        "2016-04-18T05:00:43.591Z",
        "2016-04-18T05:00:43.591Z",
        "2018-05-24T00:00:00.000Z",
    ];
    assert_eq!(times, expect);
    assert!(root.join("processed").join(&name).exists());
    let receipt = fs::read_to_string(root.join(format!("receipts/{name}.receipt.json"))).expect("the receipt");
    assert!(receipt.contains("5 events are imported"), "{receipt}");
}

#[test]
fn what_breaks_a_rule_of_orders_is_rejected_with_its_place() {
    let (gate, root) = gate_with("");
    let order = |rest: &str| format!(r#"{{"id":"a",{rest}}}"#);
    let whole = r#""timestamp":"2024-05-01","total":1"#;
    let entries = [
        (order(whole), "order_id_missing/orderId"),
        (order(&format!(r#""orderId":null,{whole}"#)), "order_id_missing/orderId"),
        (order(&format!(r#""orderId":" ",{whole}"#)), "order_id_invalid/orderId"),
        (order(&format!(r#""orderId":1.5,{whole}"#)), "order_id_invalid/orderId"),
        (
            order(&format!(r#""orderId":["a"],{whole}"#)),
            "order_id_invalid/orderId",
        ),
        (order(r#""orderId":"o","total":1"#), "timestamp_missing/timestamp"),
        (
            order(r#""orderId":"o","total":1,"timestamp":"soon""#),
            "timestamp_invalid/timestamp",
        ),
        (
            order(r#""orderId":"o","timestamp":"2024-05-01""#),
            "total_missing/total",
        ),
        (
            order(r#""orderId":"o","timestamp":"2024-05-01","total":"49.99""#),
            "total_invalid/total",
        ),
        (
            order(&format!(r#""orderId":"o","shipping":"5",{whole}"#)),
            "shipping_invalid/shipping",
        ),
        (
            order(&format!(r#""orderId":"o","discount":true,{whole}"#)),
            "discount_invalid/discount",
        ),
        (
            order(&format!(r#""orderId":"o","coupon":5,{whole}"#)),
            "coupon_invalid/coupon",
        ),
        (
            order(&format!(r#""orderId":"o","currency":{{}},{whole}"#)),
            "currency_invalid/currency",
        ),
        (
            order(&format!(r#""orderId":"o","orderId":"p",{whole}"#)),
            "duplicate_key/orderId",
        ),
        (
            order(r#""event":"Changed Order Status","orderId":"o""#),
            "timestamp_missing/timestamp",
        ),
        (order(r#""event":7,"orderId":"o""#), "event_invalid/event"),
        (format!(r#"{{"orderId":"o",{whole}}}"#), "identity_missing"),
    ];
    let bodies: Vec<&str> = entries.iter().map(|(body, _)| body.as_str()).collect();
    // The last one is well; it is here so that something is imported.
    let feed = format!("[{},{}]", bodies.join(","), order(&format!(r#""orderId":"o",{whole}"#)));
    let name = upload_orders(&root, MONDAY, &feed);
    gate.once();
    let import = gate.import_in_full(&name);
    let expect: Vec<&str> = entries.iter().map(|(_, code)| *code).collect();
    assert_eq!(rejects(&import), expect, "{import:#}");
    let total = &import["rejects"][8]["reasons"][0];
    let at = feed.find(r#""49.99""#).expect("it is there");
    assert_eq!(total["at"]["byte"], at, "{total}");
    assert!(
        total["message"]
            .as_str()
            .expect("a message")
            .contains("without quotation marks"),
        "{total}"
    );
    let receipt = fs::read_to_string(root.join(format!("receipts/{name}.receipt.json"))).expect("the receipt");
    assert!(receipt.contains("without quotes: 49.99"), "{receipt}");
}

#[test]
fn the_event_feed_does_not_know_these_rules() {
    let (gate, root) = gate_with("");
    let feed = r#"[{"event":"Completed Order","id":"a"},{"event":"Completed Order","id":"a","total":"x"}]"#;
    upload(&root, "event_history", MONDAY, feed);
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.events().len(), 2);
}

#[test]
fn a_total_that_is_not_the_carts_is_a_warning() {
    let (gate, root) = gate_with("");
    let order = |id: u32, total: &str, cart: &str| {
        format!(r#"{{"orderId":"{id}","id":"a","timestamp":"2024-05-01","total":{total},"cart":{{"total":{cart}}}}}"#)
    };
    let feed = format!(
        "[{},{},{}]",
        order(1, "5.00", "5"),
        order(2, "5.00", "6"),
        order(3, "5", "null")
    );
    let name = upload_orders(&root, MONDAY, &feed);
    assert_eq!(gate.once().code, 0);
    let import = gate.import_in_full(&name);
    assert_eq!(import["warning_list"].as_array().map(Vec::len), Some(1), "{import:#}");
    assert_eq!(import["warning_list"][0]["code"], "total_differs");
    assert_eq!(import["warning_list"][0]["index"], 1);
}

#[test]
fn near_misses_of_the_name_are_told_the_right_one() {
    let (gate, root) = gate_with("");
    for name in [
        "Order_History_20240527080000.json.zip",
        "order_history_20240527080000.json",
        "order_history_2024.json.zip",
    ] {
        fs::write(root.join(name), "x").expect("an upload");
    }
    gate.once();
    let detail = |name: &str| gate.import(name)["violations"][0].clone();
    let told = detail("Order_History_20240527080000.json.zip");
    assert_eq!(told["code"], "name_malformed");
    assert!(
        told["detail"]
            .as_str()
            .expect("words")
            .contains("name it `order_history_20240527080000.json.zip`"),
        "{told}"
    );
    let told = detail("order_history_20240527080000.json");
    assert!(
        told["detail"].as_str().expect("words").contains("is not packed"),
        "{told}"
    );
    let told = detail("order_history_2024.json.zip");
    assert!(
        told["detail"]
            .as_str()
            .expect("words")
            .contains("order_history_YYYYMMDDHHMMSS.json.zip"),
        "{told}"
    );
}

#[test]
fn an_order_counts_once_by_its_unit_and_number() {
    let (gate, root) = gate_with("");
    let order = |id: &str, unit: &str, who: &str| {
        format!(r#"{{"orderId":"{id}","id":"{who}","businessUnit":"{unit}","timestamp":"2024-05-01","total":1}}"#)
    };
    upload_orders(
        &root,
        MONDAY,
        &format!("[{},{}]", order("1", "DE", "a"), order("1", "AT", "a")),
    );
    let feed = format!(
        "[{},{},{}]",
        order("1", "DE", "b"),
        order("2", "DE", "a"),
        order("2", "DE", "a")
    );
    let again = upload_orders(&root, TUESDAY, &feed);
    gate.once();
    let import = gate.import_in_full(&again);
    assert_eq!(
        (&import["accepted"], &import["duplicates"]),
        (&3.into(), &2.into()),
        "{import:#}"
    );
    assert_eq!(import["warning_list"][0]["code"], "duplicate_event", "{import:#}");
    assert_eq!(gate.events().len(), 3);
}

#[test]
fn orders_come_as_often_as_they_are_sent_where_that_is_wanted() {
    let (gate, root) = gate_with("order_unique = false");
    let order = r#"{"orderId":"1","id":"a","timestamp":"2024-05-01","total":1}"#;
    upload_orders(&root, MONDAY, &format!("[{order},{order}]"));
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.events().len(), 2);
}

#[test]
fn orders_are_read_from_a_server_too() {
    let sshd = Sshd::start();
    let mut gate = Gate::new();
    gate.source_toml("acme", &sshd.toml());
    gate.destination_sqlite("events");
    let order = r#"[{"orderId":"1","id":"a","timestamp":"2024-05-01","total":1}]"#;
    let name = upload_orders(sshd.root(), MONDAY, order);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");
    assert!(sshd.root().join("processed").join(&name).exists());
    assert_eq!(gate.events()[0]["event"], "Completed Order");
}
