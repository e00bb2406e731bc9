//! The feeds in the samples, as a partner would write them. People, shops and prices are invented.

/// The example of the vendor's help page, word for word, with its two faults.
pub(super) const VENDOR: &str = include_str!("vendor_example.json");

/// The vendor's example with the missing comma put in.
pub(super) fn comma_mended() -> String {
    VENDOR.replacen(
        "\"businessUnit\":\"crossengage\"",
        "\"businessUnit\":\"crossengage\",",
        1,
    )
}

/// The same with the second `businessUnit` taken out.
pub(super) fn unit_mended() -> String {
    comma_mended().replacen("    \"businessUnit\":\"crossengage\",\n", "", 1)
}

/// A small good feed of three events. No two numbers give the same: that would be worth a remark of its own.
pub(super) fn small(number: u64) -> Vec<u8> {
    let (one, two) = (20_000 + 2 * number, 20_001 + 2 * number);
    format!(
        r#"[
  {{"event": "Subscribed Newsletter", "id": "c-{one}", "timestamp": "2026-03-01T06:12:09Z", "list": "spring"}},
  {{"event": "Viewed Product", "email": "ines{number}@example.org", "businessUnit": "PT", "sku": "MUG-11", "price": 19.90}},
  {{"event": "Left Store Review", "id": "c-{two}", "timestamp": "2026-03-01T07:40:51+01:00", "stars": 4, "text": "Très bien !"}}
]
"#
    )
    .into_bytes()
}

/// Events in a small feed.
pub(super) const SMALL_EVENTS: u64 = 3;

/// Two events of the evening before.
pub(super) const LATE: &[u8] = br#"[
  {"event": "Viewed Product", "id": "c-20017", "timestamp": "2026-02-28T21:03:00Z", "sku": "TEA-02"},
  {"event": "Viewed Product", "id": "c-20019", "timestamp": "2026-02-28T21:04:30Z", "sku": "TEA-03"}
]
"#;

/// Three good entries (one of them with a number for an id, which is worth a warning), and seven that are wrong, each in
/// another way.
pub(super) const HALF_BAD: &str = r#"[
  {"event": "Viewed Product", "id": "c-1001", "timestamp": "2026-03-01T08:00:00Z", "sku": "MUG-11"},
  {"event": "Viewed Product", "timestamp": "2026-03-01T08:00:05Z", "sku": "MUG-12"},
  {"id": "c-1002", "timestamp": "2026-03-01T08:00:10Z", "sku": "MUG-12"},
  {"event": "   ", "id": "c-1003"},
  "Viewed Product",
  {"event": "Viewed Product", "id": 1004, "sku": "TEA-01"},
  {"event": "Viewed Product", "email": "nobody at home", "businessUnit": "DE"},
  {"event": "Viewed Product", "id": "c-1005", "timestamp": "yesterday, about noon"},
  {"event": "Viewed Product", "id": "c-1006", "id": "c-1007", "sku": "TEA-01"},
  {"event": "Viewed Product", "email": "zoë@example.org", "businessUnit": "DE", "sku": "TEA-02"}
]
"#;

/// One object a line.
pub(super) fn newline_delimited() -> Vec<u8> {
    let text = "{\"event\": \"Viewed Product\", \"id\": \"c-1\"}\n{\"event\": \"Viewed Product\", \"id\": \"c-2\"}\n";
    text.as_bytes().to_vec()
}

/// A good feed as UTF-16, little-endian with a byte-order mark, as editors on Windows save "Unicode".
pub(super) fn utf16() -> Vec<u8> {
    let text = "\u{feff}[{\"event\": \"Viewed Product\", \"id\": \"c-1\"}]\n";
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Events in the good feed.
pub(super) const GOOD_EVENTS: u64 = 1_000;

/// A day in a shop: views, carts, orders, newsletters; people known by id or by e-mail and unit.
pub(super) fn good_feed() -> Vec<u8> {
    let entries: Vec<String> = (0..GOOD_EVENTS).map(entry).collect();
    format!("[\n{}\n]\n", entries.join(",\n")).into_bytes()
}

/// A product: sku, name, price in cents.
const PRODUCTS: [(&str, &str, u64); 6] = [
    ("TEA-01", "Grüner Tee „Morgennebel“, 100 g", 790),
    ("TEA-02", "Thé noir à la bergamote", 850),
    ("MUG-11", "Kubek z lwem, 0,3 l", 1990),
    ("POT-07", "急須 (kyusu), 350 ml", 6400),
    ("BOX-03", "Κουτί δώρου", 450),
    ("SPN-05", "Honey spoon \\\"Bee\\\" 🐝", 320),
];

const UNITS: [&str; 4] = ["DE", "FR", "PL", "JP"];

fn entry(n: u64) -> String {
    let (hour, minute, second) = (n * 80 / 3600, n * 80 / 60 % 60, n * 80 % 60);
    let timestamp = format!("2026-02-28T{hour:02}:{minute:02}:{second:02}Z");
    let unit = UNITS[(n % 4) as usize];
    let person = n * 7919 % 311;
    let who = match n % 3 {
        0 => format!("\"email\": \"guest{person}@example.org\", \"businessUnit\": \"{unit}\""),
        1 => format!("\"id\": \"c-{:05}\"", 10_000 + person),
        _ => format!(
            "\"id\": \"c-{:05}\", \"email\": \"c{person}@example.com\", \"businessUnit\": \"{unit}\"",
            10_000 + person
        ),
    };
    let (sku, name, cents) = PRODUCTS[(n * 31 % 6) as usize];
    let price = money(cents);
    let what = match n % 10 {
        0 => (
            "Placed Order",
            format!("\"orderId\": \"{:010}\", \"cart\": {}", 6_000_000 + n, cart(n)),
        ),
        1 | 2 => (
            "Added to Cart",
            format!(
                "\"sku\": \"{sku}\", \"name\": \"{name}\", \"price\": {price}, \"quantity\": {}",
                n % 3 + 1
            ),
        ),
        3 => (
            "Subscribed Newsletter",
            "\"list\": \"spring\", \"doubleOptIn\": true".to_owned(),
        ),
        4 => (
            "Searched",
            format!(
                "\"query\": \"{}\", \"results\": {}",
                ["Tee", "お茶", "thé vert", "чай"][(n / 10 % 4) as usize],
                n % 17
            ),
        ),
        _ => (
            "Viewed Product",
            format!("\"sku\": \"{sku}\", \"name\": \"{name}\", \"price\": {price}, \"referrer\": null"),
        ),
    };
    format!(
        "  {{\"event\": \"{}\", {who}, \"timestamp\": \"{timestamp}\", {}}}",
        what.0, what.1
    )
}

fn cart(n: u64) -> String {
    let lines = n / 10 % 3 + 1;
    let mut total = 0;
    let mut products = Vec::new();
    for line in 0..lines {
        let (sku, name, cents) = PRODUCTS[((n + line) % 6) as usize];
        let quantity = line + 1;
        total += cents * quantity;
        let price = money(cents);
        products.push(format!(
            "{{\"sku\": \"{sku}\", \"name\": \"{name}\", \"quantity\": {quantity}, \"price\": {price}}}"
        ));
    }
    format!(
        "{{\"currency\": \"EUR\", \"total\": {}, \"products\": [{}]}}",
        money(total),
        products.join(", ")
    )
}

/// Cents with the decimals that people write: `5.00` stays `5.00` all the way through.
fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn entries(feed: &[u8]) -> Option<Vec<Value>> {
        serde_json::from_slice(feed).ok()
    }

    #[test]
    fn the_good_ones_are_json_and_the_bad_ones_are_not() {
        assert_eq!(entries(&good_feed()).unwrap().len() as u64, GOOD_EVENTS);
        assert_eq!(entries(&small(7)).unwrap().len() as u64, SMALL_EVENTS);
        assert_ne!(small(7), small(8));
        assert_eq!(entries(LATE).unwrap().len(), 2);
        assert_eq!(entries(HALF_BAD.as_bytes()).unwrap().len(), 10);
        assert_eq!(entries(VENDOR.as_bytes()), None);
        assert_eq!(entries(&newline_delimited()), None);
        assert_eq!(entries(&utf16()), None);
    }

    #[test]
    fn the_vendors_example_is_mended_step_by_step() {
        let units = |text: &str| text.matches("\"businessUnit\"").count();
        assert_eq!(
            (units(VENDOR), units(&comma_mended()), units(&unit_mended())),
            (2, 2, 1)
        );
        assert_eq!(entries(comma_mended().as_bytes()).unwrap().len(), 1);
        assert_eq!(entries(unit_mended().as_bytes()).unwrap()[0]["businessUnit"], "DE");
    }
}
