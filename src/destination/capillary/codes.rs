//! The vendor's codes: what each says, whom it concerns, and what to do.
//!
//! His pages do not tell the two apart that matter most here: a code that is about one event, and one that is about the webhook
//! and so about every event there is. [`Concerns`] does.

/// Whom a code concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concerns {
    /// Nobody: it was taken.
    Nobody,
    /// This event.
    Event,
    /// Every event: keys or settings are wrong.
    Webhook,
    /// A definition that was pushed.
    Definition,
}

/// A code of the vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) number: u64,
    /// Whom it concerns.
    pub(super) concerns: Concerns,
    /// What it says.
    pub(super) says: &'static str,
    /// What to do; may be empty.
    pub(super) advice: &'static str,
}

const CODES: [Code; 20] = [
    code(1100, Concerns::Nobody, "queued", ""),
    code(7300, Concerns::Nobody, "taken", ""),
    code(7301, Concerns::Event, "the event could not be added", ""),
    code(
        7302,
        Concerns::Event,
        "the source is missing",
        "see which source the customer's identifier has there",
    ),
    code(
        7303,
        Concerns::Event,
        "the source is not valid",
        "see which source the customer's identifier has there",
    ),
    code(
        7304,
        Concerns::Event,
        "the event's name is missing",
        "see that the webhook takes events of this form",
    ),
    code(
        7305,
        Concerns::Event,
        "the event is not known there",
        "`feedgate definitions push` makes it known; then it has to be published there",
    ),
    code(7306, Concerns::Event, "the UUID is missing", ""),
    code(
        7307,
        Concerns::Event,
        "the customer's id is missing",
        "see that the definition's `identifierType` is the one that was published",
    ),
    code(
        7308,
        Concerns::Event,
        "the customer is not known there",
        "`addCustomerIfNotExists` in the definition lets the event make one",
    ),
    code(7309, Concerns::Event, "the SKU is not known there", ""),
    code(
        7310,
        Concerns::Event,
        "the store's code is not known there",
        "see the field of type `tillCode`, and `till_code`",
    ),
    code(7311, Concerns::Event, "what is said of the customer is not valid", ""),
    code(
        1839,
        Concerns::Webhook,
        "the webhook wants authentication and none was set up for it",
        "set up Basic authentication for the webhook, and give `user` and `password_file`",
    ),
    code(
        1808,
        Concerns::Webhook,
        "the webhook has no transformer for customers' events",
        "register it anew, with a transformer",
    ),
    code(
        1802,
        Concerns::Definition,
        "an attribute's value will not do",
        "`feedgate definitions check` says which it may be",
    ),
    code(
        1806,
        Concerns::Definition,
        "there is an event of this name already",
        "run the push again: it looks first, and changes what is there",
    ),
    code(
        1810,
        Concerns::Definition,
        "the actions will not do",
        "the vendor knows `EMFConsumer` and `EIConsumer`",
    ),
    code(
        1811,
        Concerns::Definition,
        "the event's name will not do",
        "letters, digits and underscores, not two in a row",
    ),
    code(
        1823,
        Concerns::Definition,
        "a field's type will not do",
        "see which types this organisation has",
    ),
];

const fn code(number: u64, concerns: Concerns, says: &'static str, advice: &'static str) -> Code {
    Code {
        number,
        concerns,
        says,
        advice,
    }
}

impl Code {
    /// The code of this number, if it is one that the vendor's pages name.
    pub(super) fn of(number: u64) -> Option<&'static Code> {
        CODES.iter().find(|code| code.number == number)
    }
}

/// A number in words: `code 7309, the SKU is not known there`.
pub(super) fn words(number: u64) -> String {
    match Code::of(number) {
        Some(code) => format!("code {number}, {}", code.says),
        None => format!("code {number}, which its pages do not name"),
    }
}

/// What to do about a number, with what parts it from what stands before; empty where there is nothing to say.
pub(super) fn advice(number: u64) -> String {
    match Code::of(number) {
        Some(code) if !code.advice.is_empty() => format!("; {}", code.advice),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_words() {
        let check = |number: u64, expect: &str| assert_eq!(words(number) + &advice(number), expect);
        check(7309, "code 7309, the SKU is not known there");
        check(
            7305,
            "code 7305, the event is not known there; `feedgate definitions push` makes it known; then it has to be published \
             there",
        );
        check(9, "code 9, which its pages do not name");
    }

    #[test]
    fn every_number_is_there_once() {
        for (at, code) in CODES.iter().enumerate() {
            assert!(
                CODES[at + 1..].iter().all(|other| other.number != code.number),
                "{code:?}"
            );
        }
    }
}
