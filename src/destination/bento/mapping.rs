//! From an event to what `batch/events` wants of it.
//!
//! | in Bento's event | from |
//! |---|---|
//! | `type` | the event's name, see [`super::name`] |
//! | `email` | the person's address: the only identity that Bento knows |
//! | `date` | when it happened, always written, so that the same event is the same whenever it is sent |
//! | `fields` | `external_id`, `business_unit`, and what the operator maps; scalars alone, as Bento wants it |
//! | `details` | everything else in the entry, as it is spelt; for orders see [`super::purchase`]; `source` and `entry_key`, by which anybody finds the entry again |
//!
//! A feed's own key may have a name that means something in `details`. It is kept under `feed_` and its name:
//! `bypass_workflows`, `source` and `entry_key` always, since what these say is not a feed's to decide; `unique` and `value` in
//! orders, and where they hold more than a scalar (any event with a `unique.key` is taken for one that was sent before, and
//! any `value` for revenue); `cart` in an order, where it is no object.

use std::cell::Cell;

use super::address;
use super::amount::Currency;
use super::fields::{self, Field};
use super::name::Named;
use super::purchase::Purchase;
use crate::config::resolve::{BentoSettings, WithoutEmail};
use crate::destination::entry::{Entry, Value};
use crate::destination::json::Object;
use crate::destination::receiver::Added;
use crate::events::{Event, push_utc};

/// Keys of an entry that have a place of their own in Bento's event.
const PLACED: [&str; 5] = ["event", "id", "email", "businessUnit", "timestamp"];

/// How events are written.
pub(super) struct Mapping {
    fields: Vec<(String, String)>,
    without_email: WithoutEmail,
    currency: Option<Currency>,
    bypass_workflows: bool,
    /// Orders without a value were told of.
    said_without_value: Cell<bool>,
}

/// What is said of an order, where the event is about one.
enum Order<'a> {
    /// It was placed.
    Purchase(Purchase<'a>),
    /// Something happened to it: its id.
    Status(String),
    None,
}

impl Mapping {
    /// As the operator wants it.
    pub(super) fn new(settings: &BentoSettings) -> Mapping {
        Mapping {
            fields: settings.fields.clone(),
            without_email: settings.without_email,
            currency: settings.currency.as_deref().and_then(Currency::of),
            bypass_workflows: settings.bypass_workflows,
            said_without_value: Cell::new(false),
        }
    }

    /// Appends Bento's event, and gives the person's address. `Err` is why there is none; nothing is appended then.
    pub(super) fn push<'e>(&self, into: &mut String, event: &Event<'e>, entry: &Entry<'_>) -> Result<&'e str, Added> {
        let refused = |reason| Added::Refused { reason };
        let named = Named::of(event).ok_or(Added::Dropped)?;
        let email = event.email.ok_or_else(|| self.without_email())?;
        if !address::is_taken(email) {
            return Err(refused(
                "its e-mail address is of a form that Bento does not take (ASCII, with one `@` and a domain \
                 behind it)"
                    .to_owned(),
            ));
        }
        let (name, order) = self.order(named, event, entry).map_err(refused)?;
        if matches!(&order, Order::Purchase(purchase) if !purchase.has_value()) {
            self.say_without_value(event);
        }
        let mut date = String::new();
        push_utc(&mut date, event.at);
        if date.starts_with(['+', '-']) {
            return Err(refused("its time lies outside the years 0 to 9999".to_owned()));
        }
        let mut object = Object::begin(into);
        object.text("type", &name);
        object.text("email", email);
        object.text("date", &date);
        let fields = fields::of_event(event, entry, &self.fields);
        if !fields.is_empty() {
            object.object("fields", |object| {
                fields.iter().for_each(|field| object.json(field.name, &field.json));
            });
        }
        object.object("details", |details| {
            self.write_details(details, event, entry, &fields, &order)
        });
        object.end();
        Ok(email)
    }

    /// Says that orders go without a value: once, for the first.
    fn say_without_value(&self, event: &Event<'_>) {
        if self.said_without_value.replace(true) {
            return;
        }
        tracing::warn!(
            import = event.import,
            index = event.index,
            "an order goes to Bento without a value, and so may others: it names no currency that is known, or no total; `currency` gives \
             one to those that name none"
        );
    }

    /// What becomes of an event of nobody knows whom.
    fn without_email(&self) -> Added {
        let reason = "it has no e-mail address, by which alone Bento knows people".to_owned();
        match self.without_email {
            WithoutEmail::Hold => Added::Held { reason },
            WithoutEmail::Refuse => Added::Refused { reason },
            WithoutEmail::Drop => Added::Dropped,
        }
    }

    /// The type, and the order that the event is about. `Err` says why it cannot be sent.
    fn order<'e>(&self, named: Named, event: &Event<'_>, entry: &Entry<'e>) -> Result<(String, Order<'e>), String> {
        Ok(match named {
            Named::Purchase(name) => {
                let purchase = Purchase::of(event, entry, self.currency.as_ref())?;
                (name, Order::Purchase(purchase))
            }
            Named::OrderStatus(name) => match entry.get("orderId").and_then(Value::text) {
                Some(order) => (name, Order::Status(order.into_owned())),
                None => (name, Order::None),
            },
            Named::Other(name) => (name, Order::None),
            Named::Refused(reason) => return Err(reason),
        })
    }

    fn write_details(
        &self,
        details: &mut Object<'_>,
        event: &Event<'_>,
        entry: &Entry<'_>,
        fields: &[Field<'_>],
        order: &Order<'_>,
    ) {
        match order {
            Order::Purchase(purchase) => purchase.write(details),
            Order::Status(order) => details.text("order_id", order),
            Order::None => {}
        }
        for (name, value) in entry.members() {
            let is_said = PLACED.contains(&name)
                || fields.iter().any(|field| field.is_of(name))
                || match order {
                    Order::Purchase(purchase) => purchase.says(name, value),
                    Order::Status(_) => name == "orderId",
                    Order::None => false,
                };
            if is_said {
                continue;
            }
            if !is_ours(name, value, order) {
                details.json(name, value.as_json());
                continue;
            }
            let mut name = format!("feed_{name}");
            while entry.has(&name) {
                name.insert_str(0, "feed_");
            }
            details.json(&name, value.as_json());
        }
        details.text("source", event.archive);
        details.display("entry_key", event.id);
        if self.bypass_workflows {
            // Bento wants the string.
            details.text("bypass_workflows", "true");
        }
    }
}

/// Whether a key of `details` is not a feed's to set.
fn is_ours(name: &str, value: Value<'_>, order: &Order<'_>) -> bool {
    let is_purchase = matches!(order, Order::Purchase(_));
    match name {
        "bypass_workflows" | "source" | "entry_key" => true,
        "unique" | "value" => is_purchase || !value.is_scalar(),
        "cart" => is_purchase,
        "order_id" => matches!(order, Order::Status(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::destination::bento::tests::{an_event, pairs, settings};

    fn push(settings: &BentoSettings, event: &Event<'_>) -> Result<String, Added> {
        let entry = Entry::of(event.body).expect("an object");
        let mut json = String::new();
        Mapping::new(settings).push(&mut json, event, &entry)?;
        Ok(json)
    }

    /// The members behind `date`, less what is the same in all.
    fn check(settings: &BentoSettings, event: Event<'_>, expect: &str) {
        let json = push(settings, &event).expect("an event");
        let head = r#"{"type":"$viewed_product","email":"ada@example.com","date":"2019-11-18T17:05:00.000Z""#;
        let tail = r#""source":"event_history_20191118170500.json.zip","entry_key":"00ff-12"}}"#;
        let rest = json.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
        assert_eq!(rest, Some(expect), "{json}");
    }

    fn with_body(body: &str) -> Event<'_> {
        Event { body, ..an_event() }
    }

    #[test]
    fn what_every_event_has() {
        check(&settings(), an_event(), r#","details":{"#);
        let event = Event {
            user_id: Some("0042"),
            business_unit: Some("D\"E"),
            body: r#"{"event":"Viewed Product","id":42,"email":"x","businessUnit":1,"timestamp":[]}"#,
            ..an_event()
        };
        check(
            &settings(),
            event,
            r#","fields":{"external_id":"0042","business_unit":"D\"E"},"details":{"#,
        );
    }

    #[test]
    fn the_rest_is_as_it_is_spelt() {
        check(
            &settings(),
            with_body(
                r#"{"price":5.00,"n":1E400,"s":"\u00e9\/","t":true,"z":null,"o":{"b": [ 1.0 ],"b":2},"price":6.10,"":0}"#,
            ),
            r#","details":{"price":6.10,"n":1E400,"s":"\u00e9\/","t":true,"z":null,"o":{"b": [ 1.0 ],"b":2},"":0,"#,
        );
        check(
            &settings(),
            with_body(r#"{"$serde_json::private::RawValue":"{","$serde_json::private::Number":"x"}"#),
            r#","details":{"$serde_json::private::RawValue":"{","$serde_json::private::Number":"x","#,
        );
    }

    #[test]
    fn fields_are_scalars() {
        let settings = BentoSettings {
            fields: pairs(&[
                ("city", "home"),
                ("/address/zip", "zip"),
                ("/plan", "plan"),
                ("address", "address"),
                ("nothing", "nothing"),
                ("none", "none"),
                ("/a~1b", "external_id"),
            ]),
            ..settings()
        };
        let event = Event {
            user_id: Some("42"),
            body: r#"{"city":"Bonn","address":{"zip":053.0},"plan":1,"nothing":null,"a/b":true}"#,
            ..an_event()
        };
        // A number cannot begin with a zero; this one does not get past the import.
        assert!(Entry::of(event.body).is_none());
        let event = Event {
            body: r#"{"city":"Bonn","address":{"zip":53.0},"plan":1,"nothing":null,"a/b":true}"#,
            ..event
        };
        check(
            &settings,
            event,
            concat!(
                r#","fields":{"external_id":true,"home":"Bonn","zip":53.0,"plan":1},"#,
                r#""details":{"address":{"zip":53.0},"nothing":null,"#
            ),
        );
    }

    #[test]
    fn a_feed_sets_nothing_of_ours() {
        check(
            &settings(),
            with_body(
                r#"{"bypass_workflows":"true","source":"x","entry_key":1,"feed_source":2,"unique":{"key":"1"},"value":[1]}"#,
            ),
            concat!(
                r#","details":{"feed_bypass_workflows":"true","feed_feed_source":"x","feed_entry_key":1,"#,
                r#""feed_source":2,"feed_unique":{"key":"1"},"feed_value":[1],"#
            ),
        );
        check(
            &settings(),
            with_body(r#"{"unique":true,"value":5.0,"cart":[1],"order_id":1,"orderId":2}"#),
            r#","details":{"unique":true,"value":5.0,"cart":[1],"order_id":1,"orderId":2,"#,
        );
    }

    #[test]
    fn workflows_are_bypassed_if_the_operator_says_so() {
        let settings = BentoSettings {
            bypass_workflows: true,
            ..settings()
        };
        let json = push(&settings, &with_body(r#"{"bypass_workflows":false}"#)).expect("an event");
        assert!(
            json.ends_with(r#""entry_key":"00ff-12","bypass_workflows":"true"}}"#)
                && json.contains(r#""feed_bypass_workflows":false"#),
            "{json}"
        );
    }

    #[test]
    fn orders() {
        let settings = BentoSettings {
            currency: Some("EUR".to_owned()),
            ..settings()
        };
        let order = Event {
            event: "Completed Order",
            business_unit: Some("DE"),
            body: r#"{"orderId":"0006000384","total":7.98,"cart":"?","shipping":5.00,"unique":1,"value":2}"#,
            ..an_event()
        };
        assert_eq!(
            push(&settings, &order).as_deref(),
            Ok(concat!(
                r#"{"type":"$purchase","email":"ada@example.com","date":"2019-11-18T17:05:00.000Z","#,
                r#""fields":{"business_unit":"DE"},"#,
                r#""details":{"unique":{"key":"DE:0006000384"},"value":{"currency":"EUR","amount":798},"#,
                r#""feed_cart":"?","shipping":5.00,"feed_unique":1,"feed_value":2,"#,
                r#""source":"event_history_20191118170500.json.zip","entry_key":"00ff-12"}}"#
            ))
        );
        let returned = Event {
            event: "Changed Order Status",
            business_unit: None,
            body: r#"{"orderId":1234,"order_id":5,"status":"return","cart":{"products":[]}}"#,
            ..order
        };
        assert_eq!(
            push(&settings, &returned).as_deref(),
            Ok(concat!(
                r#"{"type":"$order_status_changed","email":"ada@example.com","date":"2019-11-18T17:05:00.000Z","#,
                r#""details":{"order_id":"1234","feed_order_id":5,"status":"return","cart":{"products":[]},"#,
                r#""source":"event_history_20191118170500.json.zip","entry_key":"00ff-12"}}"#
            ))
        );
        let dearer = Event {
            body: r#"{"orderId":"1","total":7.98,"currency":"USD","cart":{"currency":"EUR","total":7.98}}"#,
            ..order
        };
        let dearer = push(&settings, &dearer).expect("an event");
        let details = r#""value":{"currency":"EUR","amount":798},"cart":{},"currency":"USD","source""#;
        assert!(dearer.contains(details), "{dearer}");
        // What is called an order by hand is one; an order that is called otherwise is none.
        let sale = Event {
            event: "Sale",
            renamed: Some("$purchase"),
            ..order
        };
        assert_eq!(push(&settings, &sale), push(&settings, &order));
        let placed = Event {
            renamed: Some("$OrderPlaced"),
            ..order
        };
        let placed = push(&settings, &placed).expect("an event");
        assert!(
            placed.contains(r#""details":{"orderId":"0006000384","total":7.98,"cart":"?""#),
            "{placed}"
        );
    }

    /// A JSON text, with keys that mean something here and keys that do not.
    fn any_json(depth: u32) -> BoxedStrategy<String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,12})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a text")),
            Just(r#""\ud83d\\\udc00""#.to_owned()),
        ];
        if depth == 0 {
            return scalar.boxed();
        }
        prop_oneof![
            2 => scalar,
            1 => any_object(depth - 1),
            1 => prop::collection::vec(any_json(depth - 1), 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
        .boxed()
    }

    fn any_object(depth: u32) -> BoxedStrategy<String> {
        let key = prop_oneof![
            3 => prop::sample::select(vec![
                "orderId", "total", "currency", "cart", "products", "sku", "id", "name", "price", "quantity", "items",
                "unique", "value", "source", "feed_source", "entry_key", "bypass_workflows", "city", "order_id", "event",
                "$serde_json::private::RawValue", "product_sku",
            ]).prop_map(|key| format!("\"{key}\"")),
            1 => any::<String>().prop_map(|key| serde_json::to_string(&key).expect("a text")),
        ];
        let member = (key, any_json(depth)).prop_map(|(key, value)| format!("{key} : {value}"));
        prop::collection::vec(member, 0..12)
            .prop_map(|members| format!("{{{}}}", members.join(" , ")))
            .boxed()
    }

    /// A key that an object has twice, at the root or in `details`: which one counts would be anybody's guess.
    fn twice(json: &str) -> Option<String> {
        // Written again, an object has each key once.
        let once = |json: &str| {
            let mut again = String::new();
            let mut object = Object::begin(&mut again);
            Entry::of(json)?
                .members()
                .for_each(|(name, value)| object.json(name, value.as_json()));
            object.end();
            Some(again)
        };
        let details = Entry::of(json)?.get("details")?.as_json().to_owned();
        [json, &details]
            .into_iter()
            .find(|json| once(json).as_deref() != Some(json))
            .map(str::to_owned)
    }

    proptest! {
        #[test]
        fn whatever_is_in_an_entry(
            body in any_object(3),
            name in prop::sample::select(vec!["Completed Order", "Changed Order Status", "Viewed Product"]),
        ) {
            let body = crate::destination::entry::whole_characters(&body).into_owned();
            let settings = BentoSettings {
                currency: Some("EUR".to_owned()),
                fields: pairs(&[("city", "city"), ("/cart/products/0/sku", "first_sku")]),
                ..settings()
            };
            let event = Event { event: name, body: &body, ..an_event() };
            let Ok(json) = push(&settings, &event) else {
                // An order may be refused, nothing else may.
                prop_assert_eq!(name, "Completed Order");
                return Ok(());
            };
            let entry = Entry::of(&json).expect("an object");
            let details = entry.get("details").and_then(Value::entry).expect("details");
            let text = |entry: &Entry<'_>, name: &str| entry.get(name).and_then(Value::text).map(|text| text.into_owned());
            prop_assert_eq!(text(&details, "source"), Some(event.archive.to_owned()));
            prop_assert_eq!(text(&details, "entry_key"), Some("00ff-12".to_owned()));
            prop_assert!(!details.has("bypass_workflows"));
            prop_assert_eq!(twice(&json), None);
            let fields = entry.get("fields").and_then(Value::entry);
            if let Some(fields) = fields {
                prop_assert!(fields.members().all(|(_, value)| value.is_scalar()));
            }
            if name == "Completed Order" {
                let unique = details.get("unique").and_then(Value::entry).expect("what makes it unique");
                prop_assert!(text(&unique, "key").is_some());
            }
        }
    }

    #[test]
    fn what_cannot_be_sent() {
        let check = |settings: &BentoSettings, event: Event<'_>, expect: &str| {
            let found = match push(settings, &event).expect_err("no event") {
                Added::Taken => "taken".to_owned(),
                Added::Dropped => "dropped".to_owned(),
                Added::Held { reason } => format!("held: {reason}"),
                Added::Refused { reason } => format!("refused: {reason}"),
            };
            assert!(found.starts_with(expect), "{found}");
            assert!(!found.contains("ada"), "{found}");
        };
        let without = |without_email| BentoSettings {
            without_email,
            ..settings()
        };
        let nobody = Event {
            email: None,
            ..an_event()
        };
        check(&without(WithoutEmail::Hold), nobody, "held: it has no e-mail address");
        check(
            &without(WithoutEmail::Refuse),
            nobody,
            "refused: it has no e-mail address",
        );
        check(&without(WithoutEmail::Drop), nobody, "dropped");
        let event = |event: &'static str| Event { event, ..an_event() };
        check(&settings(), event("Ordered Item"), "dropped");
        let unsent = Event {
            event: "Ordered Item",
            ..nobody
        };
        check(&without(WithoutEmail::Hold), unsent, "dropped");
        let no_order = Event {
            event: "Completed Order",
            ..nobody
        };
        check(&without(WithoutEmail::Drop), no_order, "dropped");
        check(
            &settings(),
            event("Unsubscribe"),
            "refused: its name would become `$unsubscribe`",
        );
        check(&settings(), event("Completed Order"), "refused: it has no `orderId`");
        let odd = Event {
            email: Some("ada@localhost"),
            ..an_event()
        };
        check(&settings(), odd, "refused: its e-mail address is of a form");
        let far = Event {
            at: 253_402_300_800_000,
            ..an_event()
        };
        check(&settings(), far, "refused: its time lies outside");
    }
}
