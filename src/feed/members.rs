//! Where the five keys of an entry lie: noted by the scanner as it passes them, compared where one is there twice.

use super::text::{same, unescaped};

/// One of the five keys that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Event,
    Id,
    Email,
    BusinessUnit,
    Timestamp,
}

impl Key {
    /// The five, in the order in which reasons are given.
    pub const ALL: [Key; 5] = [Key::Event, Key::Id, Key::Email, Key::BusinessUnit, Key::Timestamp];

    /// As it is written in a feed.
    pub fn name(self) -> &'static str {
        super::KEYS[self as usize]
    }

    /// The key that a name, given with its quotation marks, stands for.
    pub fn of(quoted: &[u8]) -> Option<Key> {
        Key::plain(quoted).or_else(|| {
            // Written with escapes, a name is the same name: `"\u0065vent"`.
            memchr::memchr(b'\\', quoted)?;
            let inner = &quoted[1..quoted.len() - 1];
            Key::ALL.into_iter().find(|key| unescaped(inner).eq(key.name().bytes()))
        })
    }

    /// The key that a name without escapes, given with its quotation marks, stands for.
    #[inline]
    pub fn plain(quoted: &[u8]) -> Option<Key> {
        match quoted {
            b"\"event\"" => Some(Key::Event),
            b"\"id\"" => Some(Key::Id),
            b"\"email\"" => Some(Key::Email),
            b"\"businessUnit\"" => Some(Key::BusinessUnit),
            b"\"timestamp\"" => Some(Key::Timestamp),
            _ => None,
        }
    }
}

/// A part of an entry's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from: usize,
    pub to: usize,
}

impl Span {
    pub fn of(self, text: &[u8]) -> &[u8] {
        &text[self.from..self.to]
    }
}

/// A key's value, or values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub first: Span,
    /// The last one, which counts.
    pub last: Span,
    pub repeat: Option<Repeat>,
}

/// A key that is there again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    /// Where the key stands again: with another value, if there is such a place.
    pub key: usize,
    /// Its value there.
    pub value: Span,
    /// Whether that is another value than the first one.
    pub differs: bool,
}

/// What the scanner found of the five keys.
///
/// However often a key is repeated, this does not grow, and comparing each value with the first one is linear: what is
/// compared is never longer than the repetition itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Members {
    of: [Option<Member>; 5],
    /// Whether a backslash may stand in any of the values: without one, a string is what it says.
    pub escapes: bool,
}

impl Members {
    pub fn get(&self, key: Key) -> Option<&Member> {
        self.of[key as usize].as_ref()
    }

    /// Notes a member: its key begins at `place`.
    pub fn note(&mut self, text: &[u8], key: Key, place: usize, value: Span) {
        let Some(member) = &mut self.of[key as usize] else {
            self.of[key as usize] = Some(Member {
                first: value,
                last: value,
                repeat: None,
            });
            return;
        };
        member.last = value;
        if member.repeat.is_some_and(|repeat| repeat.differs) {
            return;
        }
        let differs = !same(member.first.of(text), value.of(text));
        if differs || member.repeat.is_none() {
            member.repeat = Some(Repeat {
                key: place,
                value,
                differs,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_after_unescaping() {
        let check = |quoted: &str, expect: Option<Key>| assert_eq!(Key::of(quoted.as_bytes()), expect, "{quoted}");
        check(r#""event""#, Some(Key::Event));
        check(r#""\u0065vent""#, Some(Key::Event));
        check(r#""\u0069\u0064""#, Some(Key::Id));
        check(r#""business\u0055nit""#, Some(Key::BusinessUnit));
        check(r#""Event""#, None);
        check(r#""event ""#, None);
        check(r#""event\u0000""#, None);
        check(r#""""#, None);
        check(r#""\n""#, None);
    }
}
