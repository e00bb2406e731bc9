//! Which entries were rejected, or were seen before: one bit for each, kept small while they come.
//!
//! A feed of `[1,1,1,…]` has half a billion rejects to the gigabyte. In runs they take next to nothing, but only once they are
//! made into runs: until then each takes its bit. Rejects that lie scattered take their bits for good.

use roaring::RoaringTreemap;

use crate::verdict::{Violation, ViolationCode};

/// Entries after which what came is made small: some containers of the set, full ones.
const RECENT: u64 = 16 * 65_536;

/// Largest set, in bytes. Without it a hostile feed would fill the memory of whoever reads it, deliveries included. An honest
/// one does not come near it: with every other entry wrong it would have to have 64 million of them.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A set that grows.
#[derive(Debug, Default)]
pub(super) struct RejectedSet {
    /// Made small.
    settled: RoaringTreemap,
    /// Bytes of it.
    settled_bytes: usize,
    /// What came since then.
    recent: RoaringTreemap,
    /// From this index on, the recent ones are settled.
    settle_at: u64,
}

impl RejectedSet {
    /// Notes an entry, whose index is larger than all before. `Err` if the set becomes too large: nobody could hold it.
    pub fn push(&mut self, index: u64) -> Result<(), Violation> {
        if index >= self.settle_at {
            self.settle();
            self.settle_at = index / RECENT * RECENT + RECENT;
            if self.settled_bytes > BYTES_MAX {
                return Err(self.too_large(index));
            }
        }
        self.recent.insert(index);
        Ok(())
    }

    /// How many there are of those that were made small.
    pub fn len(&self) -> u64 {
        self.settled.len()
    }

    /// All of them.
    pub fn finish(mut self) -> RoaringTreemap {
        self.settle();
        self.settled
    }

    fn settle(&mut self) {
        let mut recent = std::mem::take(&mut self.recent);
        recent.optimize();
        self.settled_bytes += recent.serialized_size();
        self.settled |= recent;
    }

    fn too_large(&self, index: u64) -> Violation {
        let detail = format!(
            "{} of the first {index} entries were not valid, too many to note each of them, so nothing is imported",
            self.settled.len()
        );
        Violation::new(ViolationCode::TooManyRejected, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_noted() {
        for step in [1, 2, 3, 100, 65_537, 3_000_000] {
            let indices = || (0..10 * RECENT).step_by(step).take(3_000_000);
            let mut set = RejectedSet::default();
            for index in indices() {
                set.push(index).expect("there is room");
            }
            assert!(set.finish().iter().eq(indices()), "every {step}th");
        }
    }

    #[test]
    fn half_a_billion_in_a_row_take_next_to_nothing() {
        let mut set = RejectedSet::default();
        for index in 0..20 * RECENT {
            set.push(index).expect("there is room");
            assert!(set.settled_bytes < 10_000, "{index}: {}", set.settled_bytes);
        }
        assert!(set.recent.len() <= RECENT);
        assert_eq!(set.finish().len(), 20 * RECENT);
    }

    #[test]
    fn scattered_ones_end_it_before_they_fill_the_memory() {
        let mut set = RejectedSet::default();
        let full = (0..)
            .step_by(2)
            .find_map(|index| set.push(index).err().map(|violation| (index, violation)));
        let (index, violation) = full.expect("it ends");
        assert_eq!(violation.code, ViolationCode::TooManyRejected);
        assert!((60_000_000..80_000_000).contains(&index), "{index}");
        assert!(set.settled.serialized_size() < BYTES_MAX + 200_000);
    }
}
