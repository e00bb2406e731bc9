//! The array, entry by entry, as a stream.
//!
//! What is in memory is one block, or one entry where that is larger; an entry that does not fit is waited for in a window
//! that doubles, up to the limit, and shrinks again. White space between entries is passed and forgotten.
//!
//! What comes out depends on the bytes alone, never on the sizes in which the reader beneath hands them out: entries,
//! places, faults and the words for them.

use std::cell::OnceCell;
use std::io::Read;

use super::mask::Sensitive;
use super::members::Members;
use super::position::Places;
use super::root::Root;
use super::scan::{Halt, Scanner, Wanted, skip_blanks};
use super::window::{LOOK_AHEAD, Window};
use super::{Options, Stop, fault, root};
use crate::verdict::{Position, Violation, ViolationCode};

/// Reads the data file that `R` gives.
#[derive(Debug)]
pub struct Walk<R> {
    window: Window<R>,
    scanner: Scanner,
    depth_max: u32,
    entry_bytes_max: usize,
    state: State,
    /// Index of the next entry.
    index: u64,
    /// The fault that ended it: asked again, the walk gives it again.
    stopped: OnceCell<Violation>,
    /// What is not shown of it.
    sensitive: Sensitive,
}

/// Where the walk is between two tokens of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was read.
    Beginning,
    /// Behind the opening bracket.
    First,
    /// Behind an entry.
    After,
    /// Behind a comma.
    Next,
    /// Behind the closing bracket.
    Tail,
}

/// An element of the array: its text, byte for byte, and where its keys lie.
#[derive(Debug, Clone, Copy)]
pub struct RawEntry<'a> {
    /// Index in the array, from 0.
    pub index: u64,
    /// The entry's text as it stands in the data file.
    pub raw: &'a str,
    pub(super) members: &'a Members,
    /// What is not shown of it.
    pub(super) sensitive: &'a Sensitive,
    places: Places<'a>,
    from: usize,
}

impl RawEntry<'_> {
    /// Where the entry begins. Lines are counted only now.
    pub fn position(&self) -> Position {
        self.places.settle(self.from)
    }

    /// Where the byte at this offset of the entry's text lies in the data file.
    pub fn position_of(&self, offset: usize) -> Position {
        super::position::after(self.position(), &self.raw.as_bytes()[..offset])
    }
}

impl<R: Read> Walk<R> {
    /// A walk over the data file that `read` gives, which is read in large blocks and needs no buffer of its own.
    pub fn new(read: R, options: &Options) -> Walk<R> {
        Walk::expecting(u64::MAX, read, options)
    }

    /// The same where the data file is expected to have so many bytes. Should it have others, all is the same but for memory.
    pub fn expecting(bytes: u64, read: R, options: &Options) -> Walk<R> {
        Walk {
            window: Window::new(read, bytes),
            scanner: Scanner::new(options.depth_max),
            depth_max: options.depth_max,
            // A quarter of the address space leaves room for what is added to it below.
            entry_bytes_max: usize::try_from(options.entry_bytes_max)
                .unwrap_or(usize::MAX)
                .min(usize::MAX / 4),
            state: State::Beginning,
            index: 0,
            stopped: OnceCell::new(),
            sensitive: Sensitive::default(),
        }
    }

    /// The same, and whatever is shown of the data leaves out the values of these names.
    pub fn hiding(self, sensitive: &Sensitive) -> Walk<R> {
        Walk {
            sensitive: sensitive.clone(),
            ..self
        }
    }

    /// Bytes of the data file read so far (everything, after the end).
    pub fn bytes(&self) -> u64 {
        self.window.bytes()
    }

    /// The next entry of the array, or `None` at its end; what follows is checked too, up to the end of the data.
    ///
    /// A fault is final: whoever asks again gets it again. After an error of the reader one may ask again.
    #[expect(clippy::should_implement_trait, reason = "it lends: an entry borrows from the walk")]
    pub fn next(&mut self) -> Result<Option<RawEntry<'_>>, Stop> {
        if let Some(violation) = self.stopped.get() {
            return Err(Stop::Fault(violation.clone()));
        }
        let Some((from, to)) = self.pass_entry()? else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;

        let walk = &*self;
        let places = walk.window.places();
        match simdutf8::basic::from_utf8(&places.data[from..to]) {
            Ok(raw) => Ok(Some(RawEntry {
                index,
                raw,
                members: &walk.scanner.members,
                sensitive: &walk.sensitive,
                places,
                from,
            })),
            Err(_) => {
                let violation = fault::encoding(places, from, to).map(|violation| violation.within(index));
                let violation = violation.expect("what is not UTF-8 has a first byte that is wrong");
                Err(walk.stop(violation.build(&walk.sensitive)))
            }
        }
    }

    /// Gives back the memory that only a large entry needed: for whoever does something else before the next one.
    pub fn rest(&mut self) {
        self.window.shrink();
    }

    /// Passes the next entry, and gives its place in the window.
    fn pass_entry(&mut self) -> Result<Option<(usize, usize)>, Stop> {
        if self.state == State::Beginning {
            self.enter()?;
        }
        loop {
            let Some(byte) = self.next_byte()? else {
                return match self.state {
                    State::Tail => Ok(None),
                    _ => Err(self.cut_short(self.wanted(), None)),
                };
            };
            match (self.state, byte) {
                (State::First | State::After, b']') => {
                    self.window.consume(1);
                    self.state = State::Tail;
                }
                (State::After, b',') => {
                    self.window.consume(1);
                    self.state = State::Next;
                }
                (State::First | State::Next, b']' | b'}' | b',' | b':') | (State::After, _) => {
                    return Err(self.wrong(0, self.wanted(), None)?);
                }
                (State::First | State::Next, _) => return self.measure_entry().map(Some),
                (State::Tail, _) => return Err(self.trailing()?),
                (State::Beginning, _) => unreachable!("entered above"),
            }
        }
    }

    /// Goes past what precedes the entries: the byte-order mark and the opening bracket.
    fn enter(&mut self) -> Result<(), Stop> {
        self.window.fill(self.entry_bytes_max)?;
        if self.window.is_fresh() {
            if let Some((code, detail)) = root::foreign(self.window.ahead()) {
                let place = fault::Place::at(self.window.places(), self.window.start());
                return Err(self.stop(place.without_excerpt().violation(code, detail).build(&self.sensitive)));
            }
            if self.window.ahead().starts_with(root::BYTE_ORDER_MARK) {
                self.window.consume_mark(root::BYTE_ORDER_MARK.len());
            }
        }
        match self.next_byte()? {
            Some(b'[') if self.depth_max == 0 => Err(self.wrong(0, Wanted::LessDepth, None)?),
            Some(b'[') => {
                self.window.consume(1);
                self.state = State::First;
                Ok(())
            }
            Some(_) => Err(self.not_an_array()?),
            None => {
                let place = fault::Place::at(self.window.places(), self.window.start());
                let detail = match self.window.bytes() {
                    0 => "the data file is empty; a JSON array of events is wanted, `[]` if there are none",
                    _ => {
                        "the data file holds nothing but white space; a JSON array of events is wanted, `[]` if there are none"
                    }
                };
                Err(self.stop(
                    place
                        .without_excerpt()
                        .violation(ViolationCode::JsonSyntax, detail)
                        .build(&self.sensitive),
                ))
            }
        }
    }

    /// The next byte that is not blank, left where it is; `None` at the end of the data.
    fn next_byte(&mut self) -> Result<Option<u8>, Stop> {
        loop {
            let ahead = self.window.ahead();
            let blanks = skip_blanks(ahead, 0);
            let byte = ahead.get(blanks).copied();
            self.window.consume(blanks);
            if byte.is_some() {
                return Ok(byte);
            }
            if !self.window.fill(self.entry_bytes_max)? {
                return Ok(None);
            }
        }
    }

    /// Passes the entry that begins here, reading on until it is complete, and gives its place in the window.
    fn measure_entry(&mut self) -> Result<(usize, usize), Stop> {
        loop {
            // One byte over the limit is enough to know, and what lies further on must not change the answer.
            let ahead = self.window.ahead();
            let limit = ahead.len().min(self.entry_bytes_max + 1);
            match self.scanner.scan(&ahead[..limit]) {
                Ok(length) if length <= self.entry_bytes_max => {
                    let from = self.window.start();
                    self.window.consume(length);
                    self.state = State::After;
                    return Ok((from, from + length));
                }
                Ok(_) => return Err(self.too_large()?),
                Err(Halt::Wrong(at, wanted)) => return Err(self.wrong(at, wanted, Some(self.index))?),
                Err(Halt::More(wanted)) => {
                    if limit > self.entry_bytes_max {
                        return Err(self.too_large()?);
                    }
                    if !self.window.fill(self.entry_bytes_max + 1)? {
                        return Err(self.cut_short(wanted, Some(self.index)));
                    }
                }
            }
        }
    }

    /// What the array wants here.
    fn wanted(&self) -> Wanted {
        match self.state {
            State::First => Wanted::ValueOrEnd,
            State::After => Wanted::CommaOrBracket,
            _ => Wanted::Value,
        }
    }

    /// Sees to it that the text behind a fault is in memory as far as its excerpt goes, whatever the read sizes.
    fn look_ahead(&mut self, at: usize) -> Result<(), Stop> {
        if self.window.ahead().len() < at + LOOK_AHEAD {
            self.window.fill(at + 2 * LOOK_AHEAD)?;
        }
        Ok(())
    }

    /// Fault: the byte `at` bytes ahead cannot stand there.
    fn wrong(&mut self, at: usize, wanted: Wanted, entry: Option<u64>) -> Result<Stop, Stop> {
        self.look_ahead(at)?;
        let from = self.window.start();
        let found = fault::wrong(self.window.places(), from, from + at, wanted, self.depth_max);
        Ok(self.stop(found.within(entry).build(&self.sensitive)))
    }

    /// Fault: the entry that begins here is over the limit.
    fn too_large(&mut self) -> Result<Stop, Stop> {
        self.look_ahead(0)?;
        let from = self.window.start();
        let places = self.window.places();
        let to = places.data.len().min(from + self.entry_bytes_max + 1);
        let found = fault::encoding(places, from, to)
            .unwrap_or_else(|| fault::too_large(places, from, self.entry_bytes_max as u64));
        Ok(self.stop(found.within(self.index).build(&self.sensitive)))
    }

    /// Fault: the data ends here.
    fn cut_short(&self, wanted: Wanted, entry: Option<u64>) -> Stop {
        let from = self.window.start();
        let places = self.window.places();
        let found = fault::encoding(places, from, places.data.len())
            .unwrap_or_else(|| fault::cut_short(places, from, wanted, self.index));
        self.stop(found.within(entry).build(&self.sensitive))
    }

    /// Fault: something follows the array.
    fn trailing(&mut self) -> Result<Stop, Stop> {
        self.look_ahead(0)?;
        let found = fault::trailing(self.window.places(), self.window.start());
        Ok(self.stop(found.build(&self.sensitive)))
    }

    /// Fault: the data does not begin with an array.
    fn not_an_array(&mut self) -> Result<Stop, Stop> {
        self.look_ahead(0)?;
        let from = self.window.start();
        let places = self.window.places();
        let found = match root::recognise(&places.data[from..]) {
            Root::Value(detail) => fault::Place::at(places, from).violation(ViolationCode::NotAnArray, detail),
            Root::NotJson => fault::not_json(places, from),
        };
        Ok(self.stop(found.build(&self.sensitive)))
    }

    fn stop(&self, violation: Violation) -> Stop {
        Stop::Fault(self.stopped.get_or_init(|| violation).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::DuplicateKeys;
    use super::*;

    fn options(entry_bytes_max: u64) -> Options {
        Options {
            default_business_unit: None,
            duplicate_keys: DuplicateKeys::Reject,
            entry_bytes_max,
            depth_max: 128,
            kind: crate::verdict::FeedKind::Events,
            ordered_items: false,
            order_unique: false,
        }
    }

    /// A feed of entries of these sizes, made while it is read.
    fn feed(sizes: impl Iterator<Item = usize>) -> impl Read {
        let mut parts = sizes.enumerate().map(|(index, size)| {
            let separator = if index == 0 { "[" } else { ",\n" };
            format!("{separator}\"{}\"", "x".repeat(size - 2)).into_bytes()
        });
        let mut part = std::io::Cursor::new(Vec::new());
        let mut closed = false;
        Reading(move |buffer: &mut [u8]| {
            loop {
                match part.read(buffer)? {
                    0 => match parts.next() {
                        Some(next) => part = std::io::Cursor::new(next),
                        None if closed => return Ok(0),
                        None => {
                            closed = true;
                            part = std::io::Cursor::new(b"]".to_vec());
                        }
                    },
                    count => return Ok(count),
                }
            }
        })
    }

    struct Reading<F>(F);

    impl<F: FnMut(&mut [u8]) -> std::io::Result<usize>> Read for Reading<F> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0(buffer)
        }
    }

    #[test]
    fn memory_stays_that_of_a_block_however_long_the_feed() {
        let options = options(1 << 20);
        let mut walk = Walk::new(feed((0..1600).map(|_| 64 << 10)), &options);
        let mut count = 0;
        while walk.next().expect("no fault").is_some() {
            count += 1;
            assert!(walk.window.held() <= 300 << 10, "entry {count}: {}", walk.window.held());
        }
        assert_eq!(count, 1600);
        assert!(walk.bytes() > 100 << 20);
    }

    #[test]
    fn memory_grows_for_an_entry_that_needs_it_and_shrinks_again() {
        let options = options(16 << 20);
        let sizes = [100, 5 << 20, 100].into_iter().chain((0..200).map(|_| 64 << 10));
        let mut walk = Walk::new(feed(sizes), &options);
        let mut most = 0;
        while walk.next().expect("no fault").is_some() {
            most = most.max(walk.window.held());
        }
        assert!((5 << 20..11 << 20).contains(&most), "{most}");
        assert!(walk.window.held() <= 300 << 10, "{}", walk.window.held());
    }

    #[test]
    fn memory_is_given_back_as_soon_as_somebody_rests() {
        let options = options(16 << 20);
        let mut walk = Walk::new(feed([100, 5 << 20, 100].into_iter()), &options);
        walk.next().expect("no fault");
        walk.next().expect("no fault");
        assert!(walk.window.held() > 5 << 20);
        walk.rest();
        assert!(walk.window.held() <= 300 << 10, "{}", walk.window.held());
        let third = walk.next().expect("no fault").expect("an entry");
        assert_eq!(
            (third.raw.len(), third.position().line, third.position().column),
            (100, 3, 1)
        );
    }

    #[test]
    fn an_endless_entry_is_refused_at_the_limit() {
        let options = options(1 << 20);
        let mut walk = Walk::new(b"[\"".chain(std::io::repeat(b'x')), &options);
        match walk.next() {
            Err(Stop::Fault(fault)) => {
                assert_eq!(fault.code, ViolationCode::EntryTooLarge);
                assert_eq!((fault.entry, fault.at.map(|at| at.byte)), (Some(0), Some(1)));
            }
            other => panic!("{other:?}"),
        }
        assert!(walk.bytes() < 2 << 20, "{}", walk.bytes());
    }

    #[test]
    fn white_space_is_not_kept() {
        let options = options(1 << 10);
        let blanks = std::io::repeat(b'\n').take(20 << 20);
        let mut walk = Walk::new(b"[".chain(blanks).chain(&b"7 ]"[..]), &options);
        let entry = walk.next().expect("no fault").expect("an entry");
        assert_eq!((entry.position().line, entry.position().column), (1 + (20 << 20), 1));
        assert!(walk.window.held() <= 300 << 10);
        assert!(walk.next().expect("no fault").is_none());
    }

    #[test]
    fn after_an_error_of_the_reader_one_may_go_on() {
        let mut step = 0;
        let read = Reading(move |buffer: &mut [u8]| {
            step += 1;
            let part: &[u8] = match step {
                1 => b"\xef\xbb\xbf",
                3 => b"[1,",
                5 => b"2]",
                2 | 4 | 6 => return Err(std::io::ErrorKind::ConnectionReset.into()),
                7 => return Err(std::io::ErrorKind::Interrupted.into()),
                _ => b"",
            };
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        });
        let options = options(1 << 10);
        let mut walk = Walk::new(read, &options);
        let mut seen = Vec::new();
        let mut errors = 0;
        loop {
            match walk.next() {
                Ok(Some(entry)) => seen.push((entry.raw.to_owned(), entry.position().column)),
                Ok(None) => break,
                Err(Stop::Read(_)) => errors += 1,
                Err(fault) => panic!("{fault}"),
            }
        }
        assert_eq!(seen, [("1".to_owned(), 2), ("2".to_owned(), 4)]);
        assert_eq!(errors, 3);
        assert_eq!(walk.bytes(), 8);
    }

    #[test]
    fn what_is_expected_changes_nothing_but_memory() {
        let outcome = |expected: u64, data: &[u8]| {
            let options = options(1 << 20);
            let mut walk = Walk::expecting(expected, data, &options);
            let mut seen = Vec::new();
            loop {
                match walk.next() {
                    Ok(Some(entry)) => seen.push(format!("{} {:?}", entry.raw.len(), entry.position())),
                    Ok(None) => break,
                    Err(stop) => {
                        seen.push(format!("{stop:?}"));
                        break;
                    }
                }
            }
            seen
        };
        let long = format!("\u{feff}[1, \"{}\", {{}}]", "é".repeat(300_000));
        let newline_delimited = "{\"event\":\"a\"}\n".repeat(1000);
        let cut = &long.as_bytes()[..4097];
        for data in [long.as_bytes(), newline_delimited.as_bytes(), cut, b"[]", b"", b"[1,]"] {
            let reference = outcome(u64::MAX, data);
            for expected in [0, 1, 4095, 4096, data.len() as u64, 1 << 20] {
                assert_eq!(outcome(expected, data), reference, "{expected} of {}", data.len());
            }
        }
    }

    #[test]
    fn a_fault_is_final() {
        let options = options(1 << 10);
        let mut walk = Walk::new(&b"[\"\xff\", 2]"[..], &options);
        for _ in 0..3 {
            match walk.next() {
                Err(Stop::Fault(fault)) => assert_eq!(fault.code, ViolationCode::Encoding),
                other => panic!("{other:?}"),
            }
        }
    }
}
