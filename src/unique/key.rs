//! What makes two events the same event: 128 bits that stand for the parts they agree in.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Bytes of a key. By the birthday bound, two different events among ten thousand million share one with a chance of one in 10¹⁸.
pub(super) const KEY_BYTES: usize = 16;

/// Whose an event is, as its entry says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose<'a> {
    /// The customer's id.
    pub id: Option<&'a str>,
    /// The e-mail address.
    pub email: Option<&'a str>,
    /// The business unit.
    pub business_unit: Option<&'a str>,
}

/// A unique key: the first 128 bits of SHA-256 over its parts, each behind its length.
///
/// The lengths keep the parts apart: joined by an underscore, as the vendor does it, `a_b` and `c` would be `a` and `b_c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) u128);

impl Key {
    /// The key of these parts. The first one says what it is a key of, so that an event is never taken for an order.
    pub fn of<P: AsRef<str>>(parts: impl IntoIterator<Item = P>) -> Key {
        let mut hash = Sha256::new();
        for part in parts {
            let part = part.as_ref();
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut first = [0; KEY_BYTES];
        first.copy_from_slice(&hash[..KEY_BYTES]);
        Key::from_bytes(first)
    }

    /// The key of an event: its name, as its definition has it; whose it is, as the entry says it; and the values of the fields
    /// that tell such events apart, in the order of the definition.
    ///
    /// Whose it is, is its `id` if it has one, whatever else it has. Otherwise it is the e-mail address and the business unit: both
    /// to the letter, and the unit that the source supplies where the entry has none.
    pub fn of_event<'a>(name: &'a str, whose: Whose<'a>, values: impl IntoIterator<Item = Cow<'a, str>>) -> Key {
        let whose = match whose.id {
            Some(id) => ["id", id, ""],
            None => [
                "email",
                whose.email.unwrap_or_default(),
                whose.business_unit.unwrap_or_default(),
            ],
        };
        let parts = ["event", name].into_iter().chain(whose).map(Cow::Borrowed);
        Key::of(parts.chain(values))
    }

    /// As it is stored: in this order, bytes compare as keys do.
    pub(super) fn to_bytes(self) -> [u8; KEY_BYTES] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Key {
        Key(u128::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let keys = [
            Key::of(["a_b", "c"]),
            Key::of(["a", "b_c"]),
            Key::of(["a", "b", "c"]),
            Key::of(["ab", "c"]),
            Key::of(["a", "b", "c", ""]),
            Key::of(["", "a", "b", "c"]),
            Key::of::<&str>([]),
            Key::of([""]),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
        assert_eq!(Key::of(["a", "b"]), Key::of(["a", "b"]));
    }

    #[test]
    fn an_event_is_its_names_and_its_owners_and_what_tells_it_apart() {
        let whose = |id, email, business_unit| Whose {
            id,
            email,
            business_unit,
        };
        let key = |name, whose, values: &'static [&str]| {
            Key::of_event(name, whose, values.iter().map(|value| (*value).into()))
        };
        let order = key("order", whose(Some("1"), None, None), &["A-1"]);
        // What stands beside an id is not looked at.
        assert_eq!(order, key("order", whose(Some("1"), Some("x@y"), Some("DE")), &["A-1"]));
        let others = [
            key("return", whose(Some("1"), None, None), &["A-1"]),
            key("order", whose(Some("2"), None, None), &["A-1"]),
            key("order", whose(Some("1"), None, None), &["A-2"]),
            key("order", whose(Some("1"), None, None), &["A-1", ""]),
            key("order", whose(None, Some("1"), None), &["A-1"]),
            key("order", whose(None, Some("1"), Some("DE")), &["A-1"]),
            key("order", whose(None, Some("X@y"), Some("DE")), &["A-1"]),
            key("order", whose(None, Some("x@y"), Some("DE")), &["A-1"]),
        ];
        for (place, other) in others.iter().enumerate() {
            assert!(*other != order && !others[..place].contains(other), "{place}");
        }
    }

    #[test]
    fn a_key_is_the_same_for_ever() {
        // What a database holds must be found again by every version of the program: the first half of
        // `printf '\0\0\0\0\0\0\0\5event\0\0\0\0\0\0\0\1a' | sha256sum`.
        let key = Key::of(["event", "a"]);
        assert_eq!(crate::hex::hex(&key.to_bytes()), "48503d945d60d3b0a36a2ac8bf98eb01");
        assert_eq!(Key::from_bytes(key.to_bytes()), key);
    }
}
