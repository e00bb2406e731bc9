//! How many different values there were, and which, if they were few.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// Most values of one place that are remembered to be told apart. Of more than that nothing is said.
const TOLD_APART_MAX: usize = 65_536;

/// Most values that are remembered by their text: more are no enumeration.
const FEW_MAX: usize = 10;

/// Longest value that is remembered by its text, in bytes.
const FEW_BYTES_MAX: usize = 50;

/// Values that may still be remembered to be told apart, of all places together.
#[derive(Debug)]
pub struct Room(usize);

impl Room {
    /// Room for so many values; one takes about twenty bytes.
    pub fn new(values: usize) -> Room {
        Room(values)
    }
}

/// The different values of one place.
#[derive(Debug, Default)]
pub struct Distinct {
    /// Their hashes. Two values with one hash pass for one; among 65,536 that is one chance in ten thousand million.
    hashes: HashSet<u64, BuildHasherDefault<DefaultHasher>>,
    /// There are more than could be remembered.
    is_full: bool,
    /// The same value was there twice.
    is_repeated: bool,
    /// Their texts, as long as they are few and short.
    few: Vec<String>,
    /// They are not.
    are_many: bool,
}

impl Distinct {
    /// Takes in a value.
    pub fn add(&mut self, text: &str, room: &mut Room) {
        self.add_to_few(text);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.hashes.contains(&hash) {
            self.is_repeated = true;
            return;
        }
        if self.is_full || room.0 == 0 || self.hashes.len() >= TOLD_APART_MAX {
            self.is_full = true;
            return;
        }
        room.0 -= 1;
        self.hashes.insert(hash);
    }

    /// How many there are; `Err`: at least so many.
    pub fn count(&self) -> Result<usize, usize> {
        match self.is_full {
            true => Err(self.hashes.len()),
            false => Ok(self.hashes.len()),
        }
    }

    /// Whether no value was there twice, as far as all of them are known.
    pub fn are_all_different(&self) -> bool {
        !self.is_repeated && !self.is_full
    }

    /// All of them in order, if they are few and short.
    pub fn few(&self) -> Option<Vec<&str>> {
        if self.are_many {
            return None;
        }
        let mut few: Vec<&str> = self.few.iter().map(String::as_str).collect();
        few.sort_unstable();
        Some(few)
    }

    fn add_to_few(&mut self, text: &str) {
        if self.are_many || self.few.iter().any(|known| known == text) {
            return;
        }
        if self.few.len() >= FEW_MAX || text.len() > FEW_BYTES_MAX {
            self.are_many = true;
            self.few = Vec::new();
            return;
        }
        self.few.push(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = String>, room: usize) -> Distinct {
        let (mut distinct, mut room) = (Distinct::default(), Room::new(room));
        values.into_iter().for_each(|value| distinct.add(&value, &mut room));
        distinct
    }

    fn numbers(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| number.to_string())
    }

    #[test]
    fn few_and_many() {
        let check = |count: usize, few: Option<usize>| {
            let distinct = of(numbers(count).chain(numbers(count)), 1_000_000);
            assert_eq!(distinct.few().map(|few| few.len()), few, "{count}");
            assert_eq!(distinct.count(), Ok(count));
            assert!(!distinct.are_all_different());
        };
        check(1, Some(1));
        check(10, Some(10));
        check(11, None);
        assert_eq!(of(["x".repeat(51)], 9).few(), None);
        assert_eq!(of(["b", "a", "b"].map(str::to_owned), 9).few(), Some(vec!["a", "b"]));
    }

    #[test]
    fn of_what_cannot_be_remembered_nothing_is_said() {
        let distinct = of(numbers(100_000), 1_000_000);
        assert_eq!(
            (distinct.count(), distinct.are_all_different()),
            (Err(TOLD_APART_MAX), false)
        );
        let distinct = of(numbers(5), 3);
        assert_eq!((distinct.count(), distinct.are_all_different()), (Err(3), false));
        assert!(of(numbers(5), 5).are_all_different());
    }
}
