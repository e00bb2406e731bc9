//! Lines and columns, counted only when somebody asks.
//!
//! A feed is read by its bytes; nobody wants to know the line of a good entry. So a *mark* (a place whose line and column
//! are known) lags behind the reader, and is moved up block by block with SIMD counting, or to an entry that is asked for.
//! Nothing is counted twice: a feed whose every entry is rejected costs one count of its text, not one per reject.

use std::cell::Cell;

use crate::verdict::Position;

/// The place of the first byte of a data file.
pub(super) const BEGINNING: Position = Position {
    line: 1,
    column: 1,
    byte: 0,
};

/// The place that lies `text` further on.
pub(super) fn after(place: Position, text: &[u8]) -> Position {
    let byte = place.byte + text.len() as u64;
    match memchr::memrchr(b'\n', text) {
        None => Position {
            column: place.column + bytecount::num_chars(text) as u64,
            byte,
            ..place
        },
        Some(last) => Position {
            line: place.line + bytecount::count(&text[..=last], b'\n') as u64,
            column: 1 + bytecount::num_chars(&text[last + 1..]) as u64,
            byte,
        },
    }
}

/// Gives the places of bytes that lie in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// What is in memory.
    pub data: &'a [u8],
    /// Offset of its first byte in the data file.
    pub base: u64,
    /// A place that is known, in `data` or just behind it, and before whatever will be asked for.
    pub mark: &'a Cell<Position>,
}

impl Places<'_> {
    /// The place of `data[index]`, which is at or behind the mark.
    pub fn at(&self, index: usize) -> Position {
        let mark = self.mark.get();
        after(mark, &self.data[(mark.byte - self.base) as usize..index])
    }

    /// The same, and moves the mark there: nothing before it is asked for any more.
    pub fn settle(&self, index: usize) -> Position {
        let place = self.at(index);
        self.mark.set(place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, line: u64, column: u64) {
        let place = after(BEGINNING, text.as_bytes());
        assert_eq!(
            (place.line, place.column, place.byte),
            (line, column, text.len() as u64),
            "{text:?}"
        );
    }

    #[test]
    fn lines_end_at_lf_and_columns_are_code_points() {
        check("", 1, 1);
        check("abc", 1, 4);
        check("a\n", 2, 1);
        check("a\r\nb", 2, 2);
        check("a\rb", 1, 4);
        check("äöü", 1, 4);
        check("\n\n€😀", 3, 3);
        check("e\u{301}", 1, 3);
    }

    #[test]
    fn a_text_counted_in_two_parts_is_counted_alike() {
        let text = "één\nzwei 😀\r\n\n drei".as_bytes();
        for cut in 0..=text.len() {
            let halves = after(after(BEGINNING, &text[..cut]), &text[cut..]);
            assert_eq!(halves, after(BEGINNING, text), "cut at {cut}");
        }
    }
}
