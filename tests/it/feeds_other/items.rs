//! `ordered_items`: an event for each product of a completed order.

use super::*;
use crate::house::http_server::HttpServer;
use crate::house::world::World;

const MONDAY: &str = "20240527080000";

const ORDERS: &str = r#"[{"orderId":"1","id":"DE1","timestamp":"2024-05-22T22:00:00Z","total":46.13,"cart":{"products":[
      {"id":"1","sku":"AB1234","price":10.990},{"id":"2","sku":"AB1235","price":17.57}]}},
  {"event":"Subscribed Newsletter","id":"DE1"},
  {"orderId":"2","id":"DE1","timestamp":"2024-05-22T22:00:00Z","total":1,"cart":{"products":[{"sku":"C"}]}}]"#;

#[test]
fn each_product_is_an_event_right_behind_its_order_at_every_destination() {
    let (mut gate, root) = gate_with("ordered_items = true");
    gate.destination("lines", "type = \"file\"");
    gate.destination("items", "type = \"sqlite\"\nevents = [\"Ordered Item\"]");
    upload_orders(&root, MONDAY, ORDERS);
    let once = gate.once();
    assert_eq!(once.code, 0, "{once}");

    let events = gate.events();
    let key = events[0]["id"]
        .as_str()
        .expect("an id")
        .strip_suffix("-0")
        .expect("the first")
        .to_owned();
    let ids: Vec<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
    let expect: Vec<String> = ["0", "0.1", "0.2", "1", "2", "2.1"]
        .iter()
        .map(|id| format!("{key}-{id}"))
        .collect();
    assert_eq!(ids, expect);
    assert_eq!(events[2]["event"], "Ordered Item");
    assert_eq!(events[2]["body"]["sku"], "AB1235");
    assert_eq!(events[2]["body"]["id"], "DE1");
    assert_eq!(events[2]["body"]["orderId"], "1");

    let rows = |database: &str| -> Vec<(String, String, String)> {
        let stored = rusqlite::Connection::open(gate.state_dir().join(database)).expect("the database");
        let mut select = stored
            .prepare("SELECT id, user_id, time FROM events ORDER BY n")
            .expect("rows");
        let rows = select
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    assert_eq!(
        rows("events.db").into_iter().map(|row| row.0).collect::<Vec<_>>(),
        expect
    );
    let items = rows("items.db");
    assert_eq!(items.len(), 3);
    assert!(
        items
            .iter()
            .all(|(_, user, time)| user == "DE1" && time == "2024-05-22T22:00:00.000Z"),
        "{items:?}"
    );
    let status = gate.status();
    let destinations = status["destinations"].as_array().expect("destinations");
    let delivered = |name: &str| destinations.iter().find(|one| one["name"] == name).expect(name)["delivered"].clone();
    assert_eq!(
        (delivered("events"), delivered("lines"), delivered("items")),
        (6.into(), 6.into(), 3.into())
    );
}

#[test]
fn they_are_made_in_the_event_feed_too_and_nowhere_unless_asked_for() {
    let feed = r#"[{"event":"Completed Order","id":"a","cart":{"products":[{"sku":"A"},{"sku":"B"}]}}]"#;
    for (keys, expect) in [("", 1), ("ordered_items = true", 3)] {
        let (gate, root) = gate_with(keys);
        upload(&root, "event_history", MONDAY, feed);
        assert_eq!(gate.once().code, 0);
        assert_eq!(gate.events().len(), expect, "{keys}");
    }
}

#[test]
fn what_was_frozen_stays_when_the_setting_changes() {
    let (mut gate, root) = gate_with("ordered_items = true");
    upload_orders(&root, MONDAY, ORDERS);
    assert_eq!(gate.once().code, 0);
    gate.clear();
    gate.source_local("acme", &root);
    gate.destination_sqlite("later");
    assert_eq!(gate.once().code, 0);
    let stored = rusqlite::Connection::open(gate.state_dir().join("later.db")).expect("the database");
    let rows: u64 = stored
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .expect("rows");
    assert_eq!(rows, 6);
}

#[test]
fn an_order_with_more_products_than_that_is_rejected() {
    let (gate, root) = gate_with("ordered_items = true");
    let products = |count: usize| vec![r#"{"sku":"A"}"#; count].join(",");
    let order = |id: usize, count: usize| {
        format!(
            r#"{{"orderId":"{id}","id":"a","timestamp":"2024-05-01","total":1,"cart":{{"products":[{}]}}}}"#,
            products(count)
        )
    };
    let name = upload_orders(&root, MONDAY, &format!("[{},{}]", order(1, 10_000), order(2, 10_001)));
    gate.once();
    assert_eq!(rejects(&gate.import_in_full(&name)), ["items_too_many/cart/products"]);
    assert_eq!(gate.events().len(), 10_001);
}

/// Ten events to a call: an order and its items go in one, where they fit into one.
#[tokio::test]
async fn a_call_does_not_part_an_order_from_its_items() {
    let world = World::new();
    let server = HttpServer::start();
    let order = |id: usize, items: usize| {
        let products = vec![r#"{"sku":"A"}"#; items].join(",");
        format!(r#"{{"event":"Completed Order","id":"u{id}","cart":{{"products":[{products}]}}}}"#)
    };
    // 4 + 4 fit, and 4 more would not; 13 are more than any call has, and begin where there is room.
    let feed = format!("[{},{},{},{}]", order(0, 3), order(1, 3), order(2, 3), order(3, 12));
    world.import_with_items("acme", "20260202000000", &feed).await;
    let crm = world.http("crm", &server);
    assert_eq!(world.deliver(&crm).await.delivered, 25);
    let calls: Vec<Vec<String>> = server
        .stored()
        .iter()
        .map(|call| {
            call.events()
                .iter()
                .filter_map(|event| event["id"].as_str().map(str::to_owned))
                .collect()
        })
        .collect();
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [8, 10, 7], "{calls:#?}");
    let mut all: Vec<&String> = calls.iter().flatten().collect();
    all.dedup();
    assert_eq!(all.len(), 25, "each once, and in order");
    assert!(
        calls[0][3].ends_with("-0.3") && calls[0][4].ends_with("-1"),
        "{calls:#?}"
    );
}
