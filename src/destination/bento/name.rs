//! What an event is to Bento: its `type`.
//!
//! Some types act upon people: `$unsubscribe` unsubscribes whoever the event names. So a feed never reaches one of them by
//! what it calls its events; only an operator does, by hand, with `rename`.

use crate::events::Event;

/// The type that counts as revenue.
pub(super) const PURCHASE: &str = "$purchase";

/// The type of an order that was cancelled or returned.
const ORDER_STATUS_CHANGED: &str = "$order_status_changed";

/// Types by which Bento does something to a person, or counts revenue.
const EFFECTS: [&str; 6] = [
    PURCHASE,
    "$subscribe",
    "$unsubscribe",
    "$tag",
    "$remove_tag",
    "$update_fields",
];

/// What becomes of an event, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It is sent as an order, with this type.
    Purchase(String),
    /// It is sent as what happened to an order, with this type.
    OrderStatus(String),
    /// It is sent with this type.
    Other(String),
    /// It cannot be sent under this name: why, and what to do.
    Refused(String),
}

impl Named {
    /// By the event's name, or by what the operator calls it. `None`: it is not sent, since another event says the same.
    pub(super) fn of(event: &Event<'_>) -> Option<Named> {
        if let Some(renamed) = event.renamed {
            // What is written by hand is meant.
            return Some(match renamed.trim().to_lowercase() == PURCHASE {
                true => Named::Purchase(renamed.to_owned()),
                false => Named::Other(renamed.to_owned()),
            });
        }
        match event.event {
            "Completed Order" => Some(Named::Purchase(PURCHASE.to_owned())),
            "Changed Order Status" => Some(Named::OrderStatus(ORDER_STATUS_CHANGED.to_owned())),
            // The order's own event has each of its products: sent as well, they would double it.
            "Ordered Item" => None,
            name => Some(Named::as_given(name)),
        }
    }

    fn as_given(name: &str) -> Named {
        let words = snake_case(name);
        if words.is_empty() {
            return Named::Refused(
                "its name has neither a letter nor a digit to make a type of; give it one under `rename`".to_owned(),
            );
        }
        let name = format!("${words}");
        if EFFECTS.contains(&name.as_str()) {
            return Named::Refused(format!(
                "its name would become `{name}`, by which Bento does something to the person or counts revenue; if that \
                 is meant, give it this type under `rename`, or else another"
            ));
        }
        Named::Other(name)
    }
}

/// `Subscribed Newsletter` and `subscribedNewsletter` as `subscribed_newsletter`: letters and digits of any script, small, and
/// single `_` between words.
fn snake_case(name: &str) -> String {
    let mut words = String::new();
    let mut previous_is_small = false;
    for char in name.chars() {
        let begins_a_word = char.is_uppercase() && previous_is_small;
        previous_is_small = char.is_lowercase() || char.is_numeric();
        if (begins_a_word || !char.is_alphanumeric()) && !words.is_empty() && !words.ends_with('_') {
            words.push('_');
        }
        if char.is_alphanumeric() {
            words.extend(char.to_lowercase());
        }
    }
    words.truncate(words.trim_end_matches('_').len());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::bento::tests::an_event;

    #[test]
    fn names_as_given() {
        let check = |name: &str, expect: &str| {
            let named = Named::of(&Event {
                event: name,
                ..an_event()
            });
            assert_eq!(named, Some(Named::Other(expect.to_owned())), "{name:?}");
        };
        check("Subscribed Newsletter", "$subscribed_newsletter");
        check("subscribedNewsletter", "$subscribed_newsletter");
        check("Viewed Product", "$viewed_product");
        check("account.signup", "$account_signup");
        check("  Wishlist -- removed  Product!", "$wishlist_removed_product");
        check("$custom_event", "$custom_event");
        check("contract_sale", "$contract_sale");
        check("Größe Geändert", "$größe_geändert");
        check("ПОКУПКА", "$покупка");
        check("購入", "$購入");
        check("Order2Go", "$order2_go");
        check("Purchased", "$purchased");
        check("completed order", "$completed_order");
    }

    #[test]
    fn what_is_built_in() {
        let named = |name: &'static str| {
            Named::of(&Event {
                event: name,
                ..an_event()
            })
        };
        assert_eq!(named("Completed Order"), Some(Named::Purchase("$purchase".to_owned())));
        assert_eq!(
            named("Changed Order Status"),
            Some(Named::OrderStatus("$order_status_changed".to_owned()))
        );
        assert_eq!(named("Ordered Item"), None);
    }

    #[test]
    fn never_by_accident() {
        let check = |name: &str, expect: &str| match Named::of(&Event {
            event: name,
            ..an_event()
        }) {
            Some(Named::Refused(reason)) => assert!(
                reason.contains(expect) && reason.contains("`rename`"),
                "{name}: {reason}"
            ),
            other => panic!("{name}: {other:?}"),
        };
        check("$unsubscribe", "`$unsubscribe`");
        check("Unsubscribe", "`$unsubscribe`");
        check(" UNSUBSCRIBE! ", "`$unsubscribe`");
        check("Purchase", "`$purchase`");
        check("subscribe", "`$subscribe`");
        check("Tag", "`$tag`");
        check("TAG", "`$tag`");
        check("Remove Tag", "`$remove_tag`");
        check("removeTag", "`$remove_tag`");
        check("update-fields", "`$update_fields`");
        check("$!?", "neither a letter nor a digit");
        check("🎉", "neither a letter nor a digit");
        check("_", "neither a letter nor a digit");
    }

    #[test]
    fn by_hand_everything_goes() {
        let named = |name: &'static str, renamed: &'static str| {
            Named::of(&Event {
                event: name,
                renamed: Some(renamed),
                ..an_event()
            })
        };
        assert_eq!(
            named("Opted Out", "$unsubscribe"),
            Some(Named::Other("$unsubscribe".to_owned()))
        );
        assert_eq!(
            named("Ordered Item", "$ordered_item"),
            Some(Named::Other("$ordered_item".to_owned()))
        );
        assert_eq!(
            named("Completed Order", "$OrderPlaced"),
            Some(Named::Other("$OrderPlaced".to_owned()))
        );
        assert_eq!(
            named("Sale", "$purchase"),
            Some(Named::Purchase("$purchase".to_owned()))
        );
        assert_eq!(
            named("Sale", "account.sale"),
            Some(Named::Other("account.sale".to_owned()))
        );
    }
}
