//! An event for each product of a completed order, `Ordered Item`, as the vendor's importer makes them.
//!
//! They are made when an import is read again, never stored: whether they are stands in the frozen options, so that a
//! replay gives the same ones. Each is the order's own head (who, when, which order) and the product's fields at the root,
//! `sku` among them, so that whoever looks for products finds them there; every value is as given, byte for byte. A product
//! has an `id` of its own, which at the root would be taken for the customer's: it is called `productId` there.

use std::borrow::Cow;

use super::fields::Field;
use super::order::COMPLETED;
use super::parts::{Part, elements, member, members};

/// What they are called.
pub const ORDERED_ITEM: &str = "Ordered Item";

/// Most products of one order that items are made of. Without it one entry of a few megabytes could become a million events.
pub(super) const ITEMS_MAX: usize = 10_000;

/// The keys that an item has from its order; a product's own of these names are left out.
const HEAD: [&str; 5] = ["id", "email", "businessUnit", "timestamp", "orderId"];

/// Calls `take` with the number, from 1, and the body of each item of an entry whose event is this. A product that is no
/// object has its number, and no item.
pub fn items(event: &str, raw: &str, mut take: impl FnMut(u32, &str)) {
    if event != COMPLETED {
        return;
    }
    let Some(products) = products(raw) else { return };
    let head = head(raw);
    let mut body = String::new();
    for (product, number) in elements(products).zip(1..) {
        if !product.starts_with('{') {
            continue;
        }
        body.clear();
        body.push_str(&head);
        push_product(&mut body, product);
        body.push('}');
        take(number, &body);
    }
}

/// Whether an entry has more products than items are made of.
pub(super) fn are_too_many(raw: &str, event: &Field<Cow<'_, str>>) -> bool {
    let is_order = matches!(event, Field::Good(event) if event == COMPLETED);
    is_order && products(raw).is_some_and(|products| elements(products).nth(ITEMS_MAX).is_some())
}

/// The array of products, as it is written.
fn products(raw: &str) -> Option<&str> {
    let cart = member(raw, "cart")?;
    Some(member(cart.value, "products")?.value)
}

/// What every item of an order begins with, without the closing bracket.
fn head(raw: &str) -> String {
    let mut head = format!(r#"{{"event":"{ORDERED_ITEM}""#);
    for name in HEAD {
        if let Some(part) = member(raw, name) {
            push(&mut head, name, part.value);
        }
    }
    head
}

/// Appends the fields of a product.
fn push_product(body: &mut String, product: &str) {
    let names_its_id = member(product, "productId").is_some();
    for part in members(product) {
        match is_of_the_head(&part) {
            Some("id") if !names_its_id => push(body, "productId", part.value),
            Some(_) => {}
            None => push(body, part.name, part.value),
        }
    }
}

/// The key of the order that a product's field would be taken for at the root.
fn is_of_the_head(part: &Part<'_>) -> Option<&'static str> {
    let head = HEAD.into_iter().chain(["event"]);
    head.into_iter().find(|name| part.is(name))
}

fn push(body: &mut String, name: &str, value: &str) {
    body.push_str(",\"");
    body.push_str(name);
    body.push_str("\":");
    body.push_str(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(raw: &str) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        items(COMPLETED, raw, |number, body| found.push((number, body.to_owned())));
        found
    }

    #[test]
    fn an_item_is_the_orders_head_and_the_products_fields() {
        let raw = r#"{"id" : "DE1","orderId":12,"total":5.00,"timestamp":"2024-05-22T22:00:00Z","cart":{"currency":"EUR",
            "products":[ {"id":"1","sku":"AB","price":10.990}, 7, {"sku":"B\u00e9","event":"x","email":"y","tags":[1, 2]} ]}}"#;
        let head = r#"{"event":"Ordered Item","id":"DE1","timestamp":"2024-05-22T22:00:00Z","orderId":12"#;
        assert_eq!(
            all(raw),
            [
                (1, format!(r#"{head},"productId":"1","sku":"AB","price":10.990}}"#)),
                (3, format!(r#"{head},"sku":"B\u00e9","tags":[1, 2]}}"#)),
            ]
        );
    }

    #[test]
    fn a_product_that_names_its_id_keeps_that() {
        let raw = r#"{"email":"a@b","businessUnit":"DE","cart":{"products":[{"id":"1","productId":"P"}]}}"#;
        let expect = r#"{"event":"Ordered Item","email":"a@b","businessUnit":"DE","productId":"P"}"#;
        assert_eq!(all(raw), [(1, expect.to_owned())]);
    }

    #[test]
    fn what_has_no_products_has_no_items() {
        for raw in [
            "{}",
            r#"{"cart":null}"#,
            r#"{"cart":[]}"#,
            r#"{"cart":{}}"#,
            r#"{"cart":{"products":null}}"#,
            r#"{"cart":{"products":{}}}"#,
            r#"{"cart":{"products":[]}}"#,
        ] {
            assert_eq!(all(raw), [], "{raw}");
        }
        items("Viewed Cart", r#"{"cart":{"products":[{}]}}"#, |_, _| {
            panic!("no order")
        });
    }

    #[test]
    fn too_many_are_told_from_many() {
        let order = Field::Good(Cow::Borrowed(COMPLETED));
        let raw = |count: usize| format!(r#"{{"cart":{{"products":[{}]}}}}"#, vec!["{}"; count].join(","));
        assert!(!are_too_many(&raw(ITEMS_MAX), &order));
        assert!(are_too_many(&raw(ITEMS_MAX + 1), &order));
        assert!(!are_too_many(
            &raw(ITEMS_MAX + 1),
            &Field::Good(Cow::Borrowed("Viewed Cart"))
        ));
    }
}
