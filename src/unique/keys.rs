//! The unique keys of one archive, collected while it is read: in a fixed budget of memory, whatever the archive.

use std::io;
use std::sync::Arc;

use super::Key;
use super::key::KEY_BYTES;
use super::sorter::{Merged, Sorted, Sorter, Spill};
use crate::verdict::Position;

/// Memory for the keys of an archive that is being read, in bytes.
const COLLECTED_BYTES: usize = 2 * 1024 * 1024;

/// Key, index, line and column in four bytes each, offset in six.
const FOUND_BYTES: usize = KEY_BYTES + 4 + PLACE_BYTES;

/// Bytes of a place in a data file.
pub(super) const PLACE_BYTES: usize = 4 + 4 + 6;

/// Takes the keys of an archive, in the order of its entries.
#[derive(Debug)]
pub struct Collector(Sorter<FOUND_BYTES>);

/// The keys of an archive; none, if none of its entries has one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Keys(Option<Sorted<FOUND_BYTES>>);

/// An entry that has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub key: Key,
    pub index: u32,
    pub at: Position,
}

impl Collector {
    /// One whose keys go there when they are more than memory should hold.
    pub fn new(spill: Arc<Spill>) -> Collector {
        Collector(Sorter::new(spill, COLLECTED_BYTES))
    }

    /// The entry of this index, at this place, has this key.
    pub fn push(&mut self, key: Key, index: u64, at: Position) -> io::Result<()> {
        let index = u32::try_from(index).map_err(|_| {
            io::Error::other("an archive has more than 4,294,967,296 entries, too many for unique keys")
        })?;
        self.0.push(Found { key, index, at }.to_bytes())
    }

    /// All of them.
    pub fn finish(self) -> io::Result<Keys> {
        let sorted = self.0.finish()?;
        Ok(Keys((sorted.len() > 0).then_some(sorted)))
    }
}

impl Keys {
    /// How many entries have a key.
    pub fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Sorted::len)
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Where they came from is no part of what they say: two archives of as many keys are compared by all else.
impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        self.len() == other.len()
    }
}

/// The keys of several archives in one order; where they are the same, in that of the archives, and then of their entries.
pub(super) struct InOrder(Merged<FOUND_BYTES>);

impl InOrder {
    pub fn of<'a>(archives: impl IntoIterator<Item = &'a Keys>) -> io::Result<InOrder> {
        // An archive without keys is a lot without records: the numbers of the lots are those of the archives.
        let none = Sorter::new(Arc::new(Spill::new("".as_ref())), 0).finish()?;
        let lots: Vec<_> = archives
            .into_iter()
            .map(|keys| keys.0.as_ref().unwrap_or(&none))
            .collect();
        Merged::of(&lots).map(InOrder)
    }

    /// The next one, and the number of its archive.
    pub fn next(&mut self) -> io::Result<Option<(usize, Found)>> {
        let next = self.0.next()?;
        Ok(next.map(|(archive, record)| (archive, Found::from_bytes(&record))))
    }
}

impl Found {
    fn to_bytes(self) -> [u8; FOUND_BYTES] {
        let mut bytes = [0; FOUND_BYTES];
        bytes[..KEY_BYTES].copy_from_slice(&self.key.to_bytes());
        bytes[KEY_BYTES..KEY_BYTES + 4].copy_from_slice(&self.index.to_be_bytes());
        bytes[KEY_BYTES + 4..].copy_from_slice(&place_to_bytes(self.at));
        bytes
    }

    fn from_bytes(bytes: &[u8; FOUND_BYTES]) -> Found {
        Found {
            key: Key::from_bytes(part(bytes, 0)),
            index: u32::from_be_bytes(part(bytes, KEY_BYTES)),
            at: place_from_bytes(part(bytes, KEY_BYTES + 4)),
        }
    }
}

/// Bytes of a record, from an offset on.
pub(super) fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[from..from + N]);
    part
}

/// A place in few bytes. Lines and columns beyond four billion are told as that.
pub(super) fn place_to_bytes(at: Position) -> [u8; PLACE_BYTES] {
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = [0; PLACE_BYTES];
    bytes[..4].copy_from_slice(&short(at.line));
    bytes[4..8].copy_from_slice(&short(at.column));
    bytes[8..].copy_from_slice(&at.byte.to_be_bytes()[2..]);
    bytes
}

pub(super) fn place_from_bytes(bytes: [u8; PLACE_BYTES]) -> Position {
    let mut byte = [0; 8];
    byte[2..].copy_from_slice(&bytes[8..]);
    Position {
        line: u32::from_be_bytes(part(&bytes, 0)).into(),
        column: u32::from_be_bytes(part(&bytes, 4)).into(),
        byte: u64::from_be_bytes(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archives_keys_come_out_in_order_with_where_they_were() {
        let dir = tempfile::tempdir().expect("a directory");
        let spill = Arc::new(Spill::new(dir.path()));
        let keys = |indices: &[(u64, &str)]| {
            let mut collector = Collector::new(Arc::clone(&spill));
            for (index, name) in indices {
                let at = Position {
                    line: index + 1,
                    column: 3,
                    byte: (1 << 40) + index,
                };
                collector.push(Key::of([*name]), *index, at).expect("room");
            }
            collector.finish().expect("room")
        };
        let (first, none, second) = (keys(&[(0, "a"), (2, "b"), (5, "a")]), keys(&[]), keys(&[(0, "b")]));
        assert_eq!((first.len(), none.is_empty()), (3, true));
        let mut merged = InOrder::of([&first, &none, &second]).expect("read");
        let mut found = Vec::new();
        while let Some((archive, one)) = merged.next().expect("read") {
            assert_eq!(
                (one.at.line, one.at.column, one.at.byte),
                (one.index as u64 + 1, 3, (1 << 40) + one.index as u64)
            );
            found.push((one.key, archive, one.index));
        }
        let mut expect = vec![
            (Key::of(["a"]), 0, 0),
            (Key::of(["a"]), 0, 5),
            (Key::of(["b"]), 0, 2),
            (Key::of(["b"]), 2, 0),
        ];
        expect.sort();
        assert_eq!(found, expect);
    }

    #[test]
    fn more_entries_than_a_record_can_count_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut collector = Collector::new(Arc::new(Spill::new(dir.path())));
        let at = Position {
            line: 1,
            column: 1,
            byte: 0,
        };
        assert!(collector.push(Key::of(["a"]), 1 << 32, at).is_err());
        assert!(collector.push(Key::of(["a"]), (1 << 32) - 1, at).is_ok());
    }
}
