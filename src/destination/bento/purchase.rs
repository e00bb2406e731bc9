//! Orders as `$purchase`: what makes one unique, what it is worth, and what was in the cart.
//!
//! Everything about money is exact or is not said at all. An order that cannot be told from another, or whose total cannot be
//! read, is refused; what is odd about its cart is not worth that, and only leaves out what cannot be mapped.

use super::amount::Currency;
use crate::destination::entry::{Entry, Value};
use crate::destination::json::Object;
use crate::events::Event;

/// What an order comes to, beside what any event has.
pub(super) struct Purchase<'a> {
    /// The business unit and the order's id: by this Bento knows an order that it has had.
    key: String,
    /// What the order is worth, if its currency is known.
    value: Option<Worth>,
    cart: Option<Entry<'a>>,
    /// Currency of prices that name none themselves.
    currency: Option<Currency>,
}

/// A value.
struct Worth {
    currency: Currency,
    minor_units: i64,
}

impl<'a> Purchase<'a> {
    /// Takes an order's entry apart. `Err` says why it cannot be sent.
    pub(super) fn of(event: &Event<'_>, entry: &Entry<'a>, default: Option<&Currency>) -> Result<Purchase<'a>, String> {
        let Some(order) = entry.get("orderId").and_then(Value::text) else {
            return Err("it has no `orderId`: without one, an order that is sent twice would count twice".to_owned());
        };
        let key = match event.business_unit {
            Some(unit) => format!("{unit}:{order}"),
            None => order.into_owned(),
        };
        let cart = entry.get("cart").and_then(Value::entry);
        let in_cart = |name| cart.as_ref().and_then(|cart| filled(cart, name));
        let given = [in_cart("currency"), filled(entry, "currency")];
        let known = given.iter().flatten().find_map(|given| Currency::of(&given.text()?));
        let currency = match known {
            // A currency that is given, and in a way nobody knows, is not the default one.
            None if given.iter().any(Option::is_some) => None,
            None => default.cloned(),
            known => known,
        };
        let value = match &currency {
            Some(currency) => Worth::of(currency, filled(entry, "total"), in_cart("total"))?,
            None => None,
        };
        Ok(Purchase {
            key,
            value,
            cart,
            currency,
        })
    }

    /// Whether it is said what the order is worth.
    pub(super) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// Whether what a member of the entry's root says is said here.
    pub(super) fn says(&self, name: &str, value: Value<'_>) -> bool {
        match name {
            "orderId" => true,
            "cart" => self.cart.is_some(),
            _ => self.value.as_ref().is_some_and(|worth| worth.says(name, value)),
        }
    }

    /// Writes it into an event's details.
    pub(super) fn write(&self, details: &mut Object<'_>) {
        details.object("unique", |unique| unique.text("key", &self.key));
        if let Some(worth) = &self.value {
            details.object("value", |value| {
                value.text("currency", worth.currency.code());
                value.json("amount", &worth.minor_units.to_string());
            });
        }
        if let Some(cart) = &self.cart {
            details.object("cart", |object| self.write_cart(cart, object));
        }
    }

    fn write_cart(&self, cart: &Entry<'_>, object: &mut Object<'_>) {
        let products = cart.get("products").and_then(Value::elements);
        let has_items = products.is_some();
        if let Some(products) = products {
            // One that is no object has nothing to map.
            let products = products.into_iter().filter_map(Value::entry);
            object.objects("items", products, |item, product| self.write_item(&product, item));
        }
        write_others(cart, object, |name, value| match name {
            "products" | "items" => !has_items,
            _ => !self.value.as_ref().is_some_and(|worth| worth.says(name, value)),
        });
    }

    fn write_item(&self, product: &Entry<'_>, item: &mut Object<'_>) {
        let text = |name| product.get(name).and_then(Value::text);
        let id = text("id");
        let sku = text("sku").or_else(|| id.clone());
        let name = text("name").or_else(|| sku.clone());
        let price = self.price(product).map(|units| units.to_string());
        // A feed's own `product_price` could be in any unit.
        let mut said = vec!["id", "sku", "name", "quantity", "product_price"];
        for (name, text) in [("product_sku", sku), ("product_name", name), ("product_id", id)] {
            if let Some(text) = text {
                item.text(name, &text);
                said.push(name);
            }
        }
        // Not at all, or not in a form that says how many: one.
        let quantity = product.get("quantity").filter(|quantity| quantity.text().is_some());
        item.json("quantity", quantity.map_or("1", Value::as_json));
        if let Some(price) = price {
            item.json("product_price", &price);
            said.push("price");
        }
        write_others(product, item, |name, value| !said.contains(&name) && value.is_scalar());
    }

    /// A product's price in minor units, if it has one and its currency is known.
    fn price(&self, product: &Entry<'_>) -> Option<i64> {
        let currency = match product.get("currency") {
            Some(own) => Currency::of(&own.text()?)?,
            None => self.currency.clone()?,
        };
        units(&currency, product.get("price")?).ok()
    }
}

impl Worth {
    /// What an order is worth by its own total, or else by its cart's.
    fn of(currency: &Currency, total: Option<Value<'_>>, in_cart: Option<Value<'_>>) -> Result<Option<Worth>, String> {
        let minor_units = match (total, in_cart) {
            (Some(total), _) => units(currency, total)
                .map_err(|why| format!("its `total` cannot be sent as an amount: {why}"))
                .map(Some)?,
            (None, Some(total)) => units(currency, total).ok(),
            (None, None) => None,
        };
        Ok(minor_units.map(|minor_units| Worth {
            currency: currency.clone(),
            minor_units,
        }))
    }

    /// Whether a `total` or a `currency` is no other than this one.
    fn says(&self, name: &str, value: Value<'_>) -> bool {
        match name {
            "total" => units(&self.currency, value) == Ok(self.minor_units),
            "currency" => value.text().and_then(|code| Currency::of(&code)).as_ref() == Some(&self.currency),
            _ => false,
        }
    }
}

/// Writes the other members, as they are.
fn write_others(entry: &Entry<'_>, object: &mut Object<'_>, wanted: impl Fn(&str, Value<'_>) -> bool) {
    for (name, value) in entry.members() {
        if wanted(name, value) {
            object.json(name, value.as_json());
        }
    }
}

/// A value in minor units. `Err` says what is wrong with it.
fn units(currency: &Currency, value: Value<'_>) -> Result<i64, &'static str> {
    currency.minor_units(&value.text().unwrap_or_default())
}

/// A member's value, unless it is null or a string with nothing in it.
fn filled<'a>(entry: &Entry<'a>, name: &str) -> Option<Value<'a>> {
    let is_blank = |value: Value<'_>| value.as_json().starts_with('"') && value.text().is_none();
    entry.get(name).filter(|value| !is_blank(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::bento::tests::an_event;

    fn details(unit: Option<&str>, entry: &str, default: Option<&str>) -> Result<String, String> {
        let event = Event {
            business_unit: unit,
            ..an_event()
        };
        let entry = Entry::of(entry).expect("an object");
        let default = default.and_then(Currency::of);
        let purchase = Purchase::of(&event, &entry, default.as_ref())?;
        let mut json = String::new();
        let mut object = Object::begin(&mut json);
        purchase.write(&mut object);
        object.end();
        Ok(json)
    }

    fn check(entry: &str, expect: &str) {
        assert_eq!(details(Some("DE"), entry, None).as_deref(), Ok(expect), "{entry}");
    }

    #[test]
    fn keys() {
        let check = |unit: Option<&str>, order: &str, expect: &str| {
            let written = details(unit, &format!(r#"{{"orderId":{order}}}"#), None);
            assert_eq!(written, Ok(format!(r#"{{"unique":{{"key":"{expect}"}}}}"#)), "{order}");
        };
        check(Some("DE"), r#""0006000384""#, "DE:0006000384");
        check(None, r#""0006000384""#, "0006000384");
        check(None, "6000384", "6000384");
        check(Some("DE"), r#""a\"\u0062""#, r#"DE:a\"b"#);
        for order in [r#""""#, r#"" ""#, "null", "true", "{}", "[1]"] {
            let reason = details(None, &format!(r#"{{"orderId":{order}}}"#), None).expect_err(order);
            assert!(reason.contains("no `orderId`"), "{reason}");
        }
        assert!(details(None, "{}", None).is_err());
    }

    #[test]
    fn values() {
        let check = |members: &str, default: Option<&str>, expect: Option<&str>| {
            let written = details(None, &format!(r#"{{"orderId":"1",{members}}}"#), default).expect("an order");
            let value =
                Entry::of(&written).and_then(|entry| entry.get("value").map(|value| value.as_json().to_owned()));
            assert_eq!(value.as_deref(), expect, "{members}");
        };
        let euros = Some(r#"{"currency":"EUR","amount":798}"#);
        check(r#""total":7.98,"cart":{"currency":"EUR"}"#, None, euros);
        check(
            r#""total":"7.98","cart":{"currency":"eur"},"currency":"USD""#,
            Some("GBP"),
            euros,
        );
        check(r#""total":7.980,"currency":"EUR","cart":{}"#, Some("GBP"), euros);
        check(r#""total":7.98"#, Some("EUR"), euros);
        check(
            r#""total":7.98,"cart":{"currency":" "},"currency":"""#,
            Some("EUR"),
            euros,
        );
        check(r#""cart":{"currency":"EUR","total":7.98}"#, None, euros);
        check(r#""total":null,"cart":{"currency":"EUR","total":7.98}"#, None, euros);
        check(r#""total":"","cart":{"currency":"EUR","total":7.98}"#, None, euros);
        check(
            r#""total":1200,"currency":"JPY""#,
            None,
            Some(r#"{"currency":"JPY","amount":1200}"#),
        );
        check(
            r#""total":1.5,"currency":"KWD""#,
            None,
            Some(r#"{"currency":"KWD","amount":1500}"#),
        );
        check(
            r#""total":-5.00,"currency":"EUR""#,
            None,
            Some(r#"{"currency":"EUR","amount":-500}"#),
        );
        check(r#""total":7.98"#, None, None);
        check(r#""total":7.98,"currency":"€""#, Some("EUR"), None);
        check(r#""total":7.98,"cart":{"currency":{}}"#, Some("EUR"), None);
        check(r#""currency":"EUR""#, None, None);
        for total in ["[]", "true", r#""lots""#, "1e999999999"] {
            check(&format!(r#""currency":"EUR","cart":{{"total":{total}}}"#), None, None);
        }
        for total in [r#""7,98""#, "true", "{}", "1e999999999", r#""seven""#] {
            let entry = format!(r#"{{"orderId":"1","currency":"EUR","total":{total}}}"#);
            let reason = details(None, &entry, None).expect_err(total);
            assert!(reason.contains("`total` cannot be sent as an amount"), "{reason}");
        }
    }

    #[test]
    fn carts() {
        check(
            r#"{"orderId":"1","total":46.13,"cart":{"currency":"EUR","total":46.13,"products":[
                {"id":"1","sku":"AB1234","name":"Cap","category":"Hats","price":10.99,"quantity":1,"currency":"EUR"},
                {"id":2,"price":"17.570","quantity":2}]}}"#,
            concat!(
                r#"{"unique":{"key":"DE:1"},"value":{"currency":"EUR","amount":4613},"cart":{"items":["#,
                r#"{"product_sku":"AB1234","product_name":"Cap","product_id":"1","quantity":1,"product_price":1099,"#,
                r#""category":"Hats","currency":"EUR"},"#,
                r#"{"product_sku":"2","product_name":"2","product_id":"2","quantity":2,"product_price":1757}]}}"#,
            ),
        );
    }

    #[test]
    fn what_a_cart_says_otherwise_is_kept() {
        check(
            r#"{"orderId":"1","total":10,"cart":{"currency":"EUR","total":"10.00","coupon":"X","products":[]}}"#,
            concat!(
                r#"{"unique":{"key":"DE:1"},"value":{"currency":"EUR","amount":1000},"#,
                r#""cart":{"items":[],"coupon":"X"}}"#
            ),
        );
        check(
            r#"{"orderId":"1","total":12.50,"cart":{"currency":"EUR","total":10.00}}"#,
            concat!(
                r#"{"unique":{"key":"DE:1"},"value":{"currency":"EUR","amount":1250},"#,
                r#""cart":{"total":10.00}}"#
            ),
        );
    }

    #[test]
    fn odd_carts() {
        let check = |cart: &str, expect: &str| {
            let expect = format!(r#"{{"unique":{{"key":"DE:1"}}{expect}}}"#);
            check(&format!(r#"{{"orderId":"1","cart":{cart}}}"#), &expect);
        };
        check("5", "");
        check("[]", "");
        check("null", "");
        check("{}", r#","cart":{}"#);
        check(
            r#"{"products":{"sku":"1"},"x":[1]}"#,
            r#","cart":{"products":{"sku":"1"},"x":[1]}"#,
        );
        check(r#"{"products":[]}"#, r#","cart":{"items":[]}"#);
        check(r#"{"products":[1,null,[],"x"],"items":7}"#, r#","cart":{"items":[]}"#);
        check(r#"{"products":[{}]}"#, r#","cart":{"items":[{"quantity":1}]}"#);
        check(
            r#"{"products":[{"sku":"A","quantity":{},"price":1.5,"size":{"eu":40},"new":true,"note":null}]}"#,
            concat!(
                r#","cart":{"items":[{"product_sku":"A","product_name":"A","quantity":1,"#,
                r#""price":1.5,"new":true,"note":null}]}"#
            ),
        );
        check(
            r#"{"currency":"EUR","products":[{"sku":"A","product_sku":"B","price":"a lot","quantity":"3"},
                {"sku":"A","price":1.5,"currency":"JPY"},{"sku":"A","price":1.5,"currency":"?"}]}"#,
            concat!(
                r#","cart":{"items":[{"product_sku":"A","product_name":"A","quantity":"3","price":"a lot"},"#,
                r#"{"product_sku":"A","product_name":"A","quantity":1,"product_price":2,"currency":"JPY"},"#,
                r#"{"product_sku":"A","product_name":"A","quantity":1,"price":1.5,"currency":"?"}],"currency":"EUR"}"#
            ),
        );
    }
}
