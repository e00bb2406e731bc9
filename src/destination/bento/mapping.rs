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

use super::address;
use super::amount::Currency;
use super::entry::{Entry, Value};
use super::json::Object;
use super::name::Named;
use super::purchase::Purchase;
use crate::config::resolve::{BentoSettings, WithoutEmail};
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
        }
    }

    /// Appends Bento's event, and gives the person's address. `Err` is why there is none; what was appended then is rubbish.
    pub(super) fn push<'e>(&self, into: &mut String, event: &Event<'e>, entry: &Entry<'_>) -> Result<&'e str, Added> {
        let refused = |reason: String| Added::Refused { reason };
        let (name, order) = match Named::of(event) {
            Named::Purchase(name) => {
                let purchase = Purchase::of(event, entry, self.currency.as_ref()).map_err(refused)?;
                (name, Order::Purchase(purchase))
            }
            Named::OrderStatus(name) => match entry.get("orderId").and_then(Value::text) {
                Some(order) => (name, Order::Status(order.into_owned())),
                None => (name, Order::None),
            },
            Named::Other(name) => (name, Order::None),
            Named::Dropped => return Err(Added::Dropped),
            Named::Refused(reason) => return Err(refused(reason)),
        };
        let email = event.email.ok_or_else(|| self.without_email())?;
        if !address::is_taken(email) {
            return Err(refused(
                "its e-mail address is of a form that Bento does not take (letters, digits and `_ + - .`, then `@` and a \
                 domain)"
                    .to_owned(),
            ));
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
        let fields = self.fields(event, entry);
        if !fields.is_empty() {
            object.object("fields", |object| {
                fields.iter().for_each(|field| object.json(field.name, &field.json));
            });
        }
        object.object("details", |details| self.write_details(details, event, entry, &fields, &order));
        object.end();
        Ok(email)
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

    /// What is written to the person's profile: ours, and then the operator's, which win.
    fn fields<'s>(&'s self, event: &Event<'_>, entry: &Entry<'_>) -> Vec<Field<'s>> {
        let mut fields = Vec::new();
        for (name, value) in [("external_id", event.user_id), ("business_unit", event.business_unit)] {
            if let Some(value) = value {
                let mut json = String::new();
                super::json::push_text(&mut json, value);
                set(&mut fields, Field { place: "", name, json });
            }
        }
        for field in mapped(&self.fields, entry) {
            set(&mut fields, field);
        }
        fields
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
                    Order::Purchase(purchase) => purchase.says(name),
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

/// A field of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// Where in the entry it is from; empty: from what every event has.
    place: &'a str,
    /// What Bento calls it.
    pub(super) name: &'a str,
    /// Its value.
    pub(super) json: String,
}

impl Field<'_> {
    /// Whether it is the whole of a key at the entry's root.
    fn is_of(&self, name: &str) -> bool {
        match self.place.strip_prefix('/') {
            None => self.place == name && !name.is_empty(),
            Some(step) => !step.contains('/') && step.replace("~1", "/").replace("~0", "~") == name,
        }
    }
}

/// What an operator maps (place in the entry, field), as far as the entry has it. What is not a scalar is left out, for Bento
/// wants profiles flat; and so is null, which would empty a field that was never meant.
pub(super) fn mapped<'s>(places: &'s [(String, String)], entry: &Entry<'_>) -> Vec<Field<'s>> {
    let mut fields = Vec::new();
    for (place, name) in places {
        if let Some(value) = entry.at(place).filter(|value| value.is_scalar()) {
            let json = value.as_json().to_owned();
            set(&mut fields, Field { place, name, json });
        }
    }
    fields
}

/// Sets a field; the last one of a name counts.
fn set<'a>(fields: &mut Vec<Field<'a>>, field: Field<'a>) {
    match fields.iter_mut().find(|known| known.name == field.name) {
        Some(known) => *known = field,
        None => fields.push(field),
    }
}
