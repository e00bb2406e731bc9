//! Some hundred keys side by side, sorted, as one row holds them.

use super::Key;
use super::key::KEY_BYTES;
use super::keys::part;

/// Which entry had a key first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The import's id in the ledger.
    pub import: u32,
    /// Index of the entry, from 0.
    pub index: u32,
}

/// A key, and which entry had it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub key: Key,
    pub origin: Origin,
}

/// Bytes of a record.
pub(super) const RECORD_BYTES: usize = KEY_BYTES + 8;

/// Records in a full block: with its row around it, it fits one page of the database, and takes none beside it.
pub(super) const BLOCK_RECORDS: usize = 672;

/// Bytes of the checksum behind them: SQLite believes whatever the disk gives it back.
const CHECKSUM_BYTES: usize = 4;

/// A block, as it was read or is being made.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Records, without the checksum.
    bytes: Vec<u8>,
}

impl Block {
    /// Takes a row's content in place of what was there. `false`: it is not what was written.
    pub fn load(&mut self, row: &[u8]) -> bool {
        self.bytes.clear();
        let Some((records, checksum)) = row.split_last_chunk::<CHECKSUM_BYTES>() else {
            return false;
        };
        // None is written without a record, and a page of zeros is no block either.
        let whole = !records.is_empty() && records.len() % RECORD_BYTES == 0;
        if !whole || crc32fast::hash(records) != u32::from_be_bytes(*checksum) {
            return false;
        }
        self.bytes.extend_from_slice(records);
        true
    }

    pub fn push(&mut self, record: Record) {
        self.bytes.extend_from_slice(&record.key.to_bytes());
        self.bytes.extend_from_slice(&record.origin.import.to_be_bytes());
        self.bytes.extend_from_slice(&record.origin.index.to_be_bytes());
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / RECORD_BYTES
    }

    pub fn is_full(&self) -> bool {
        self.len() >= BLOCK_RECORDS
    }

    pub fn key(&self, place: usize) -> Key {
        Key::from_bytes(part(&self.bytes, place * RECORD_BYTES))
    }

    pub fn get(&self, place: usize) -> Record {
        let origin = place * RECORD_BYTES + KEY_BYTES;
        Record {
            key: self.key(place),
            origin: Origin {
                import: u32::from_be_bytes(part(&self.bytes, origin)),
                index: u32::from_be_bytes(part(&self.bytes, origin + 4)),
            },
        }
    }

    /// The place of the first key from `from` on that is not before this one: soon found if it is near.
    pub fn place_of(&self, key: Key, from: usize) -> usize {
        let (len, mut low, mut step) = (self.len(), from, 1);
        while low + step <= len && self.key(low + step - 1) < key {
            low += step;
            step *= 2;
        }
        let mut high = len.min(low + step);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle) < key {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// The row's content; the block is empty then.
    pub fn take_row(&mut self) -> Vec<u8> {
        let checksum = crc32fast::hash(&self.bytes);
        let mut row = std::mem::take(&mut self.bytes);
        row.extend_from_slice(&checksum.to_be_bytes());
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: u128) -> Record {
        Record {
            key: Key(key),
            origin: Origin {
                import: key as u32,
                index: u32::MAX - key as u32,
            },
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut block = Block::default();
        (0..10).for_each(|key| block.push(record(key)));
        let row = block.take_row();
        assert_eq!(block.len(), 0);
        assert!(block.load(&row));
        assert!((0..10).all(|key| block.get(key) == record(key as u128)));
        assert_eq!(block.len(), 10);
    }

    #[test]
    fn a_bit_that_has_turned_is_noticed_wherever_it_is() {
        let mut block = Block::default();
        (0..3).for_each(|key| block.push(record(key)));
        let row = block.take_row();
        for byte in 0..row.len() {
            let mut damaged = row.clone();
            damaged[byte] ^= 4;
            assert!(!block.load(&damaged), "{byte}");
        }
        for length in 0..row.len() {
            assert!(!block.load(&row[..length]), "cut at {length}");
        }
    }

    #[test]
    fn a_key_is_found_from_wherever_the_search_begins() {
        let mut block = Block::default();
        (0..100).for_each(|key| block.push(record(2 * key + 1)));
        for from in [0, 1, 7, 50, 99, 100] {
            for key in 0..=202 {
                let expect = (key as usize / 2).clamp(from, 100);
                assert_eq!(block.place_of(Key(key), from), expect, "{key} from {from}");
            }
        }
    }
}
