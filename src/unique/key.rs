//! What makes two events the same event: 128 bits that stand for the parts they agree in.

use sha2::{Digest, Sha256};

/// Bytes of a key. By the birthday bound, two different events among ten thousand million share one with a chance of one in 10¹⁸.
pub(super) const KEY_BYTES: usize = 16;

/// A unique key: the first 128 bits of SHA-256 over its parts, each behind its length.
///
/// The lengths keep the parts apart: joined by an underscore, as the vendor does it, `a_b` and `c` would be `a` and `b_c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) u128);

impl Key {
    /// The key of these parts. The first one says what it is a key of, so that an event is never taken for an order.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Key {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut first = [0; KEY_BYTES];
        first.copy_from_slice(&hash[..KEY_BYTES]);
        Key::from_bytes(first)
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
            Key::of([]),
            Key::of([""]),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
        assert_eq!(Key::of(["a", "b"]), Key::of(["a", "b"]));
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
