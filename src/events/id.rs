//! What names an event, for ever.
//!
//! An id is the import's key, `-`, and the index of the entry; an event that was made of an entry has `.` and its number, from
//! 1, behind that. The key is the first 128 bits, in lower-case hex, of a
//! SHA-256 over the source's name, the archive's name and the archive's own SHA-256 (its 32 bytes), in this order, each
//! preceded by its length in bytes as an unsigned 64-bit little-endian number. The lengths keep `ab` + `c` and `a` + `bc`
//! apart. The ledger's numbers are not part of it: a ledger begun anew gives the same archive the same ids.

use std::fmt;

use sha2::{Digest, Sha256};

/// The key of an import: 32 hex digits that the ids of its events begin with.
pub fn key(source: &str, archive: &str, sha256: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    for part in [source.as_bytes(), archive.as_bytes(), sha256] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    crate::hex::hex(&hash.finalize()[..16])
}

/// The id of one event, as text by [`fmt::Display`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId<'a> {
    /// The import's key.
    pub key: &'a str,
    /// Index of the entry, from 0.
    pub index: u64,
    /// Number of the event among those made of the entry, from 1; 0: it is the entry itself.
    pub item: u32,
}

impl EventId<'_> {
    /// Appends the id, without a formatter's ado: a delivery writes one per event.
    pub fn push_to(&self, into: &mut String) {
        into.push_str(self.key);
        into.push('-');
        push_number(into, self.index);
        if self.item > 0 {
            into.push('.');
            push_number(into, u64::from(self.item));
        }
    }
}

/// The number behind an id's dot; 0 where there is none.
pub fn item_of(event_id: &str) -> u32 {
    let item = event_id.rsplit_once('.').map(|(_, item)| item.parse());
    item.and_then(Result::ok).unwrap_or(0)
}

fn push_number(into: &mut String, number: u64) {
    // From the last digit to the first.
    let (mut digits, mut first, mut rest) = ([b'0'; 20], 20, number);
    while rest > 0 || first == digits.len() {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    into.push_str(std::str::from_utf8(&digits[first..]).expect("digits"));
}

impl fmt::Display for EventId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.key, self.index)?;
        match self.item {
            0 => Ok(()),
            item => write!(f, ".{item}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_it_was_yesterday() {
        // Computed from the three length-prefixed parts by another program. Receivers keep ids; they must not change.
        assert_eq!(
            key("acme", "event_history_20191118170500.json.zip", &[7; 32]),
            "c68720aed7be36d08e2daba7e95497bc"
        );
    }

    #[test]
    fn lengths_keep_parts_apart() {
        assert_ne!(key("ab", "c", &[0; 32]), key("a", "bc", &[0; 32]));
        assert_ne!(key("", "abc", &[0; 32]), key("abc", "", &[0; 32]));
    }

    #[test]
    fn an_id_is_key_and_index_and_number() {
        for index in [0, 9, 10, 12, 999_999, 1_000_000, u64::MAX] {
            for (item, behind) in [(0, ""), (1, ".1"), (10_000, ".10000")] {
                let id = EventId {
                    key: "00ff",
                    index,
                    item,
                };
                let mut pushed = String::new();
                id.push_to(&mut pushed);
                assert_eq!(pushed, format!("00ff-{index}{behind}"));
                assert_eq!(id.to_string(), pushed);
                assert_eq!(item_of(&pushed), item);
            }
        }
    }
}
