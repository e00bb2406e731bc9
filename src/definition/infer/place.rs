//! A place in the entries of one event, and what was seen there.

use std::borrow::Cow;
use std::collections::HashMap;

use super::distinct::{Distinct, Room};
use crate::definition::date;
use crate::definition::json::{Member, elements, members};
use crate::definition::tree::is_blank;
use crate::definition::value::text_of;

/// Most steps into an entry that are looked at.
const DEPTH_MAX: usize = 8;

/// Longest key that is looked at, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What bounds a sample as a whole.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Places that may still be told apart.
    pub places: usize,
    /// Values that may still be.
    pub room: Room,
}

/// A place.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Times that something was there: neither nothing, nor null, nor blank.
    pub there: u64,
    /// Of these, objects; arrays; and what is neither.
    pub objects: u64,
    /// Arrays.
    pub arrays: u64,
    /// Arrays in which nothing is.
    pub empty_arrays: u64,
    /// Elements of arrays.
    pub elements: u64,
    /// What is neither, and the types of it.
    pub scalars: Scalars,
    /// The members of objects, in the order in which they were seen first.
    pub members: Vec<(String, Place)>,
    by_key: HashMap<String, usize>,
    /// The elements of arrays.
    pub each: Option<Box<Place>>,
    /// Members were not looked at, since there are too many, or they lie too deep, or their keys cannot be written in a path.
    pub passed_over: u64,
}

/// Values that are neither objects nor arrays.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    /// All of them.
    pub count: u64,
    /// Texts.
    pub texts: u64,
    /// Of these, dates or times.
    pub dates: u64,
    /// Of these, what holds half of a character, or a NUL.
    pub broken: u64,
    /// Whole numbers that 64 bits hold.
    pub integers: u64,
    /// Other numbers that a double holds.
    pub doubles: u64,
    /// Numbers that none of them holds.
    pub huge: u64,
    /// `true` and `false`.
    pub booleans: u64,
    /// How many different ones.
    pub distinct: Distinct,
}

impl Place {
    /// Takes in what lies here: the JSON value that `text` is from `at` on, up to `end`.
    pub(super) fn see(&mut self, text: &str, at: usize, end: usize, depth: usize, bounds: &mut Bounds) {
        let value = &text[at..end];
        let bytes = value.as_bytes();
        match bytes[0] {
            b'n' => {}
            b'"' if is_blank(bytes) => {}
            b'{' => {
                self.there += 1;
                self.objects += 1;
                self.see_members(text, at, depth, bounds);
            }
            b'[' => {
                self.there += 1;
                self.arrays += 1;
                self.see_elements(text, at, depth, bounds);
            }
            _ => {
                self.there += 1;
                self.scalars.see(value, &mut bounds.room);
            }
        }
    }

    /// Whether all that was there can name somebody: texts, and whole numbers.
    pub(super) fn holds_names(&self) -> bool {
        let scalars = &self.scalars;
        let others = scalars.doubles + scalars.huge + scalars.booleans + scalars.broken;
        self.objects + self.arrays + others == 0
    }

    fn see_members(&mut self, text: &str, at: usize, depth: usize, bounds: &mut Bounds) {
        let all: Vec<_> = members(text.as_bytes(), at).collect();
        let key_of = |member: &Member| {
            let written = &text[member.name.start - 1..member.name.end + 1];
            text_of(written).filter(|key| is_fit(key) && depth < DEPTH_MAX)
        };
        // Of a key that is there twice the last counts.
        let last: HashMap<_, _> = all
            .iter()
            .enumerate()
            .map(|(number, member)| (key_of(member), number))
            .collect();
        for (number, member) in all.iter().enumerate() {
            let Some(key) = key_of(member) else {
                self.passed_over += 1;
                continue;
            };
            if last.get(&Some(Cow::Borrowed(&*key))) != Some(&number) {
                continue;
            }
            let index = match self.by_key.get(&*key) {
                Some(index) => *index,
                None if bounds.places == 0 => {
                    self.passed_over += 1;
                    continue;
                }
                None => {
                    bounds.places -= 1;
                    self.by_key.insert(key.to_string(), self.members.len());
                    self.members.push((key.into_owned(), Place::default()));
                    self.members.len() - 1
                }
            };
            let place = &mut self.members[index].1;
            place.see(text, member.value.start, member.value.end, depth + 1, bounds);
        }
    }

    fn see_elements(&mut self, text: &str, at: usize, depth: usize, bounds: &mut Bounds) {
        let mut count = 0;
        for element in elements(text.as_bytes(), at) {
            count += 1;
            if depth >= DEPTH_MAX || (self.each.is_none() && bounds.places == 0) {
                self.passed_over += 1;
                continue;
            }
            let each = self.each.get_or_insert_with(|| {
                bounds.places -= 1;
                Box::default()
            });
            each.see(text, element.start, element.end, depth + 1, bounds);
        }
        self.elements += count;
        self.empty_arrays += u64::from(count == 0);
    }
}

impl Scalars {
    fn see(&mut self, value: &str, room: &mut Room) {
        self.count += 1;
        let text = text_of(value).filter(|text| !text.contains('\0'));
        match value.as_bytes()[0] {
            b'"' => {
                self.texts += 1;
                match &text {
                    Some(text) => self.dates += u64::from(date::is_date(text)),
                    None => self.broken += 1,
                }
            }
            b't' | b'f' => self.booleans += 1,
            _ if value.parse::<i64>().is_ok() => self.integers += 1,
            _ if value.parse::<f64>().is_ok_and(f64::is_finite) => self.doubles += 1,
            _ => self.huge += 1,
        }
        if let Some(text) = text {
            self.distinct.add(&text, room);
        }
    }
}

/// Whether a key can stand in a path.
fn is_fit(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX && !key.contains(['.', '[', ']', '\0'])
}
