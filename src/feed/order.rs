//! The rules of the order feed, beside those of every feed (specification, section 10).
//!
//! The order and the event feed are one importer with two name prefixes: an order feed may carry any event, and what is no
//! order follows the rules of events alone. An order is a `Completed Order`, also where the entry names no event, as feeds
//! of the older form do; a `Changed Order Status` is about one, and need not repeat its total.

use std::borrow::Cow;

use super::excerpt;
use super::fields::{Bad, CHARS_MAX, Field, Fields, is_integer, short, string, type_of};
use super::judge::Why;
use super::parts::{Part, member, members};
use super::text::same;
use super::{DuplicateKeys, Options, RawEntry};
use crate::verdict::{FeedKind, RejectCode, WarningCode};

/// What an entry of an order feed is that names no event.
pub const COMPLETED: &str = "Completed Order";

/// The event that tells what became of an order.
const CHANGED: &str = "Changed Order Status";

/// The keys of an order that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderKey {
    OrderId,
    Timestamp,
    Total,
    Shipping,
    Discount,
    Coupon,
    Currency,
}

/// What is the matter with an order: which key, what, and where in the entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderWhy {
    pub key: OrderKey,
    pub found: Found,
    /// Offset in the entry's text; `None`: it is not there.
    pub at: Option<usize>,
}

/// What was found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Missing,
    Bad(Bad),
    /// An amount that is no number.
    NoNumber(&'static str),
    /// It is there twice: with different values, or the same one.
    Repeated {
        differs: bool,
    },
    /// An integer, taken as its text.
    Number,
    /// Another amount than the cart's.
    Differs,
}

impl OrderKey {
    const ALL: [OrderKey; 6] = [
        OrderKey::OrderId,
        OrderKey::Total,
        OrderKey::Shipping,
        OrderKey::Discount,
        OrderKey::Coupon,
        OrderKey::Currency,
    ];

    pub fn name(self) -> &'static str {
        match self {
            OrderKey::OrderId => "orderId",
            OrderKey::Timestamp => "timestamp",
            OrderKey::Total => "total",
            OrderKey::Shipping => "shipping",
            OrderKey::Discount => "discount",
            OrderKey::Coupon => "coupon",
            OrderKey::Currency => "currency",
        }
    }

    fn invalid(self) -> RejectCode {
        match self {
            OrderKey::OrderId => RejectCode::OrderIdInvalid,
            OrderKey::Timestamp => RejectCode::TimestampInvalid,
            OrderKey::Total => RejectCode::TotalInvalid,
            OrderKey::Shipping => RejectCode::ShippingInvalid,
            OrderKey::Discount => RejectCode::DiscountInvalid,
            OrderKey::Coupon => RejectCode::CouponInvalid,
            OrderKey::Currency => RejectCode::CurrencyInvalid,
        }
    }
}

/// The name of an entry's event: as it is given, or what an order feed's entry is that gives none.
pub(super) fn event_of<'a>(event: Field<Cow<'a, str>>, kind: FeedKind) -> Field<Cow<'a, str>> {
    match event {
        Field::Absent if kind == FeedKind::Orders => Field::Good(Cow::Borrowed(COMPLETED)),
        event => event,
    }
}

/// An order that was looked at.
#[derive(Debug, Default)]
pub(super) struct Order<'a> {
    /// Why it is none.
    pub reasons: Vec<(RejectCode, Why)>,
    /// What is odd about it.
    pub warnings: Vec<(WarningCode, Why)>,
    /// `orderId` of a completed order, an integer as its text.
    pub completed: Option<Cow<'a, str>>,
}

/// Holds an entry of an order feed against the rules of orders; `None` if it is no order.
pub(super) fn look<'a>(entry: &RawEntry<'a>, fields: &Fields<'a>, options: &Options) -> Option<Order<'a>> {
    let Field::Good(event) = &fields.event else {
        return None;
    };
    let is_completed = event == COMPLETED;
    if !is_completed && event != CHANGED {
        return None;
    }
    let mut order = Order::default();
    let found = OrderKey::ALL.map(|key| order.find(key, entry.raw, options.duplicate_keys));
    let [order_id, total, others @ ..] = found;
    order.order_id(
        order_id,
        memchr::memchr(b'\\', entry.raw.as_bytes()).is_some(),
        is_completed,
    );
    if fields.timestamp == Field::Absent {
        order.reject(RejectCode::TimestampMissing, OrderKey::Timestamp, Found::Missing, None);
    }
    if total.is_none() && is_completed {
        order.reject(RejectCode::TotalMissing, OrderKey::Total, Found::Missing, None);
    }
    order.amount(OrderKey::Total, total);
    let [shipping, discount, coupon, currency] = others;
    order.amount(OrderKey::Shipping, shipping);
    order.amount(OrderKey::Discount, discount);
    order.text(OrderKey::Coupon, coupon);
    order.text(OrderKey::Currency, currency);
    order.compare_totals(entry.raw, total);
    Some(order)
}

impl<'a> Order<'a> {
    fn reject(&mut self, code: RejectCode, key: OrderKey, found: Found, at: Option<usize>) {
        self.reasons.push((code, Why::Order(OrderWhy { key, found, at })));
    }

    fn warn(&mut self, code: WarningCode, key: OrderKey, found: Found, at: usize) {
        let at = Some(at);
        self.warnings.push((code, Why::Order(OrderWhy { key, found, at })));
    }

    /// A key's value, the last one where there are several; `null` is none.
    fn find(&mut self, key: OrderKey, raw: &'a str, policy: DuplicateKeys) -> Option<Part<'a>> {
        let mut found = members(raw).filter(|part| part.is(key.name()));
        let mut last = found.next()?;
        let first = last;
        let mut repeated: Option<(usize, bool)> = None;
        for part in found {
            let differs = !same(first.value.as_bytes(), part.value.as_bytes());
            if repeated.is_none_or(|(_, before)| !before && differs) {
                repeated = Some((part.place, differs));
            }
            last = part;
        }
        if let Some((place, differs)) = repeated {
            match differs && policy == DuplicateKeys::Reject {
                true => self.reject(RejectCode::DuplicateKey, key, Found::Repeated { differs }, Some(place)),
                false => self.warn(WarningCode::DuplicateKey, key, Found::Repeated { differs }, place),
            }
        }
        (last.value != "null").then_some(last)
    }

    fn order_id(&mut self, part: Option<Part<'a>>, escapes: bool, is_completed: bool) {
        let key = OrderKey::OrderId;
        let Some(part) = part else {
            return self.reject(RejectCode::OrderIdMissing, key, Found::Missing, None);
        };
        let is_number = is_integer(part.value);
        let value = match is_number {
            true => short(Cow::Borrowed(part.value)),
            false => string(Some(part.value), escapes).and_then(|text| match text.trim().is_empty() {
                true => Field::Bad(Bad::Blank),
                false => short(text),
            }),
        };
        match value {
            Field::Good(text) => {
                if is_number {
                    self.warn(WarningCode::OrderIdNumber, key, Found::Number, part.from);
                }
                self.completed = is_completed.then_some(text);
            }
            Field::Bad(bad) => self.reject(key.invalid(), key, Found::Bad(bad), Some(part.from)),
            Field::Absent => self.reject(RejectCode::OrderIdMissing, key, Found::Missing, None),
        }
    }

    /// An amount is a number. A number in quotation marks is none: what it means depends on who reads it (`1.234,50`).
    fn amount(&mut self, key: OrderKey, part: Option<Part<'a>>) {
        if let Some(part) = part.filter(|part| !is_number(part.value)) {
            let found = Found::NoNumber(type_of(part.value));
            self.reject(key.invalid(), key, found, Some(part.from));
        }
    }

    fn text(&mut self, key: OrderKey, part: Option<Part<'a>>) {
        if let Some(part) = part.filter(|part| !part.value.starts_with('"')) {
            let found = Found::Bad(Bad::Type(type_of(part.value)));
            self.reject(key.invalid(), key, found, Some(part.from));
        }
    }

    /// The vendor's own sample has a total that does not add up, so that it can be no reason to reject.
    fn compare_totals(&mut self, raw: &str, total: Option<Part<'a>>) {
        let amount = |value: &str| is_number(value).then(|| value.parse::<f64>().ok()).flatten();
        let Some(total) = total else { return };
        let in_cart = member(raw, "cart").and_then(|cart| member(cart.value, "total"));
        if let (Some(one), Some(other)) = (amount(total.value), in_cart.and_then(|part| amount(part.value)))
            && one != other
        {
            self.warn(WarningCode::TotalDiffers, OrderKey::Total, Found::Differs, total.from);
        }
    }
}

/// `orderId` of an entry that was accepted as an order, an integer as its text: what [`look`] gave for it.
pub fn order_id(raw: &str) -> Option<Cow<'_, str>> {
    let part = member(raw, OrderKey::OrderId.name())?;
    match is_integer(part.value) {
        true => Some(Cow::Borrowed(part.value)),
        false => string(Some(part.value), part.value.contains('\\')).good(),
    }
}

/// Whether a value is a JSON number.
pub(super) fn is_number(value: &str) -> bool {
    matches!(value.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
}

/// What there is to say of it, in a sentence.
pub(super) fn message(entry: &RawEntry<'_>, why: OrderWhy, policy: DuplicateKeys) -> String {
    let name = why.key.name();
    let wanted = match why.key {
        OrderKey::OrderId => format!("a text of at most {CHARS_MAX} characters, or an integer,"),
        OrderKey::Timestamp => super::timestamp::WANTED.to_owned(),
        OrderKey::Total | OrderKey::Shipping | OrderKey::Discount => "a number such as `49.99`".to_owned(),
        OrderKey::Coupon | OrderKey::Currency => "a text".to_owned(),
    };
    let shown = || {
        let value = why.at.and_then(|at| members(entry.raw).find(|part| part.from == at));
        value
            .filter(|_| !entry.sensitive.covers(name))
            .map_or(String::new(), |part| {
                format!(" ({})", excerpt::of_value(part.value.as_bytes(), entry.sensitive))
            })
    };
    match why.found {
        Found::Missing => format!("`{name}` is missing; an order needs {wanted}")
            .trim_end_matches(',')
            .to_owned(),
        Found::NoNumber("a string") => {
            format!(
                "`{name}`{} is a string; {wanted} is wanted, without quotation marks",
                shown()
            )
        }
        Found::NoNumber(found) => format!("`{name}` is {found}; {wanted} is wanted"),
        Found::Bad(Bad::Type("a number")) if why.key == OrderKey::OrderId => {
            format!("`{name}` is a number with a fraction or an exponent; {wanted} is wanted")
        }
        Found::Bad(Bad::Type(found)) => format!("`{name}` is {found}; {wanted} is wanted"),
        Found::Bad(Bad::Blank) => format!("`{name}` is blank; {wanted} is wanted"),
        Found::Bad(Bad::TooLong(count)) => format!("`{name}` has {count} characters; {wanted} is wanted"),
        Found::Bad(Bad::LoneSurrogate) => format!(
            "`{name}` holds one half of a character (a `\\ud…` escape without its other half); {wanted} is wanted"
        ),
        Found::Bad(Bad::Nul) => format!("`{name}` holds a NUL character (`\\u0000`); {wanted} is wanted"),
        Found::Bad(Bad::Form(why)) => format!("`{name}` {why}; {wanted} is wanted"),
        Found::Repeated { differs: false } => format!("`{name}` is there twice, with the same value; remove one"),
        Found::Repeated { .. } if policy == DuplicateKeys::Last => {
            format!("`{name}` is there twice, with different values; the last one counts, remove the wrong one")
        }
        Found::Repeated { .. } => format!("`{name}` is there twice, with different values; remove the wrong one"),
        Found::Number => format!("`{name}` is a number and was taken as text; write it in double quotes"),
        Found::Differs => format!(
            "`{name}`{} is not the same amount as `cart.total`; both are kept",
            shown()
        ),
    }
}
