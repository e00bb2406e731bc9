//! What tells one past from another: a chain of hashes over everything that was ever closed, in its order.
//!
//! A destination with a cursor of its own keeps the link of the import it had last. A ledger that was put back from a backup may
//! come to the same import at the same number again, with others before it; it never comes to the same link.

use rusqlite::{OptionalExtension, Transaction};
use sha2::{Digest, Sha256};

/// Everything closed so far.
pub(super) struct Past([u8; 32]);

/// The number of what is closed next, and what lies before it.
pub(super) fn end(transaction: &Transaction<'_>) -> rusqlite::Result<(i64, Past)> {
    let last: Option<(i64, Option<[u8; 32]>)> = transaction
        .prepare_cached("SELECT seq, history FROM imports WHERE seq = (SELECT max(seq) FROM imports)")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (seq, link) = last.unwrap_or_default();
    Ok((seq + 1, Past(link.unwrap_or_default())))
}

impl Past {
    /// The link of what is closed next: words that say what it is, and its bytes' hash if it has any.
    pub fn and_then<const WORDS: usize>(&self, words: [&str; WORDS], sha256: Option<[u8; 32]>) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.0);
        for word in words {
            hash.update((word.len() as u64).to_le_bytes());
            hash.update(word);
        }
        hash.update(sha256.unwrap_or_default());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_depends_on_all_before_it_and_on_each_word() {
        let links = [
            Past([0; 32]).and_then(["a", "b"], None),
            Past([1; 32]).and_then(["a", "b"], None),
            Past([0; 32]).and_then(["ab", ""], None),
            Past([0; 32]).and_then(["a", "b"], Some([7; 32])),
        ];
        for (at, link) in links.iter().enumerate() {
            assert!(!links[at + 1..].contains(link), "{at}");
        }
    }
}
