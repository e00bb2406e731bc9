//! Every rule of entries, and the reader against serde_json.
//!
//! The fixtures are small files a partner might send (`fixtures/feeds/README.md` says what is odd about each); the oracle
//! for syntax is serde_json's `RawValue`, with a UTF-8 check and the depth rule beside it, since it looks at neither.

use std::fmt::Write as _;
use std::io::{self, Read};

use feedgate::feed::{DuplicateKeys, Options, Stop, Verdict, Walk, extract, judge};
use feedgate::verdict::{RejectCode, Violation, ViolationCode};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn options() -> Options {
    Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Reject,
        entry_bytes_max: 16 << 20,
        depth_max: 128,
        kind: feedgate::verdict::FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/feeds/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// Everything a feed comes to, in readable lines.
fn summary(read: impl Read, options: &Options) -> String {
    tell(read, options, true)
}

/// The same without the words: indices, codes, places.
fn outline(read: impl Read, options: &Options) -> String {
    tell(read, options, false)
}

fn tell(read: impl Read, options: &Options, words: bool) -> String {
    let mut out = String::new();
    let mut say = |text: String| writeln!(out, "{text}").expect("a String takes everything");
    let mut walk = Walk::new(read, options);
    let with = |text: &str| if words { format!(": {text}") } else { String::new() };
    loop {
        let entry = match walk.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => return out,
            Err(Stop::Fault(fault)) => {
                let at = fault.at.expect("a fault of the data has a place");
                let entry = fault.entry.map_or(String::new(), |entry| format!(" in entry {entry}"));
                say(format!(
                    "{} at {}:{} byte {}{entry}",
                    fault.code, at.line, at.column, at.byte
                ));
                if words {
                    say(format!("  {}", fault.detail));
                    fault
                        .excerpt
                        .into_iter()
                        .for_each(|excerpt| say(format!("  {excerpt}")));
                }
                return out;
            }
            Err(Stop::Read(error)) => panic!("reading: {error}"),
        };
        match judge(&entry, options) {
            Verdict::Accepted(event, warnings) => {
                assert_eq!(extract(&entry, options), event, "extract gives what judge gave");
                say(format!("{} accepted", entry.index));
                for warning in warnings {
                    say(format!(
                        "  {} {}{}",
                        warning.code,
                        warning.pointer,
                        with(&warning.message)
                    ));
                }
            }
            Verdict::Rejected(reject) => {
                let at = reject.at;
                say(format!(
                    "{} rejected at {}:{} byte {}",
                    reject.index, at.line, at.column, at.byte
                ));
                for reason in reject.reasons {
                    let at = reason.at;
                    let what = format!("{} {}", reason.code, reason.pointer);
                    say(format!(
                        "  {} at {}:{}{}",
                        what.trim(),
                        at.line,
                        at.column,
                        with(&reason.message)
                    ));
                }
                if words {
                    say(format!("  {}", reject.excerpt));
                }
            }
        }
    }
}

fn fault(feed: &[u8], options: &Options) -> Option<Violation> {
    let mut walk = Walk::new(feed, options);
    loop {
        match walk.next() {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(Stop::Fault(fault)) => return Some(fault),
            Err(Stop::Read(error)) => panic!("reading: {error}"),
        }
    }
}

/// Hands out so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.min(buffer.len());
        self.0.read(&mut buffer[..size])
    }
}

fn names_of_fixtures() -> Vec<String> {
    let dir = format!("{}/fixtures/feeds", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("the fixtures")
        .filter_map(|file| {
            file.expect("a file")
                .file_name()
                .to_str()?
                .strip_suffix(".json")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_vendors_own_example_is_explained() {
    let said = summary(&fixture("vendor_example")[..], &options());
    assert_eq!(
        said,
        concat!(
            "json_syntax at 16:5 byte 442 in entry 0\n",
            "  a comma is missing before `\"cart\"`: put it at the end of line 15\n",
            "  …il\":\"***\", \"businessUnit\":\"crossengage\" \"cart\":…\n",
        )
    );

    let mended = fixture("vendor_example_comma_mended");
    assert_eq!(
        summary(&mended[..], &options()),
        concat!(
            "0 rejected at 2:3 byte 4\n",
            "  duplicate_key /businessUnit at 15:5: `businessUnit` is there twice, with different values ",
            "(\"DE\" and \"crossengage\"); remove the wrong one\n",
            "  { \"event\": \"Changed Order Status\", \"orderId\": \"0006000384\", \"timestamp\": ",
            "\"2018-05-22T22:00:00Z\", \"businessUnit\": \"DE\", \"…\n",
        )
    );
    let last = Options {
        duplicate_keys: DuplicateKeys::Last,
        ..options()
    };
    let said = summary(&mended[..], &last);
    assert!(said.starts_with("0 accepted\n  duplicate_key /businessUnit"), "{said}");
}

#[test]
fn every_fixture_comes_to_what_the_table_says() {
    let table = std::fs::read_to_string(format!("{}/fixtures/feeds/README.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut rows: Vec<String> = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').strip_suffix(".json").expect("a fixture");
        let got = outline(&fixture(name)[..], &options());
        let got = got.trim().replace("\n  ", ", ").replace('\n', "; ");
        assert_eq!(got, cells[3], "{name}");
        rows.push(name.to_owned());
    }
    rows.sort();
    assert_eq!(rows, names_of_fixtures(), "each fixture has a row");
}

#[test]
fn every_code_of_the_data_file_has_a_fixture() {
    let mut codes = String::new();
    for name in names_of_fixtures() {
        codes += &summary(&fixture(&name)[..], &options());
    }
    // Whether an entry breaks a definition, no data file says by itself: see `definitions`.
    // The rules of orders and of users have tables of their own: see `feeds_other`.
    let elsewhere = [
        "definition_",
        "order_id_",
        "timestamp_missing",
        "total_",
        "shipping_",
        "discount_",
        "coupon_",
        "currency_",
        "items_",
        "user_",
    ];
    let of_the_feed = |code: &&RejectCode| !elsewhere.iter().any(|prefix| code.as_str().starts_with(prefix));
    for code in RejectCode::ALL.iter().filter(of_the_feed) {
        assert!(codes.contains(&format!("\n  {code} ")), "{code}");
    }
    use ViolationCode::*;
    for code in [Encoding, JsonSyntax, NotAnArray, TrailingContent, Depth] {
        assert!(codes.contains(code.as_str()), "{code}");
    }
    let small = Options {
        entry_bytes_max: 52,
        ..options()
    };
    assert_eq!(
        outline(&fixture("clean")[..], &small),
        "entry_too_large at 2:3 byte 4 in entry 0\n"
    );
}

#[test]
fn what_comes_out_does_not_depend_on_the_sizes_read() {
    for name in names_of_fixtures() {
        let feed = fixture(&name);
        let whole = summary(&feed[..], &options());
        for size in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(
                summary(Pieces(&feed, size), &options()),
                whole,
                "{name} in pieces of {size}"
            );
        }
    }
}

#[test]
fn what_comes_out_does_not_depend_on_where_a_block_ends() {
    // What the reader holds at first: a block, and what it keeps behind.
    const HELD: usize = (256 << 10) + 160;
    let entries = r#"{"event":"é😀","id":"\ud83d\ude00","n":-1.5e+10,"t":[true,false,null,{}]} , 12.5e3,"€" ] "#;
    let run = |blanks: usize, entries: &[u8]| {
        let feed = [b"[".as_slice(), &vec![b' '; blanks], entries].concat();
        let mut out = String::new();
        let mut walk = Walk::new(&feed[..], &options());
        loop {
            match walk.next() {
                Ok(Some(entry)) => {
                    let at = entry.position();
                    let place = (at.line, at.column - blanks as u64, at.byte - blanks as u64);
                    writeln!(out, "{place:?} {}", entry.raw).unwrap();
                }
                Ok(None) => return out,
                Err(Stop::Fault(fault)) => {
                    let at = fault.at.unwrap();
                    let place = (at.line, at.column - blanks as u64, at.byte - blanks as u64);
                    writeln!(out, "{place:?} {} {:?} {:?}", fault.code, fault.detail, fault.excerpt).unwrap();
                    return out;
                }
                Err(Stop::Read(error)) => panic!("reading: {error}"),
            }
        }
    };
    // Blanks far enough from any boundary, and more of them than are kept for messages.
    let broken = entries.replace("false", "flase").into_bytes();
    let latin1 = entries
        .replace("true", "\"@\"")
        .into_bytes()
        .iter()
        .map(|&b| if b == b'@' { 0xfc } else { b })
        .collect();
    let trailing = format!("{entries}, {{\"email\":\"ada@example.com\"}}").into_bytes();
    for entries in [entries.as_bytes().to_vec(), broken, latin1, trailing] {
        let expect = run(1000, &entries);
        for behind in 0..entries.len() + 3 {
            assert_eq!(
                run(HELD - behind, &entries),
                expect,
                "{behind} bytes before the end of a block"
            );
        }
    }
}

#[test]
fn places_are_exact_however_seldom_they_are_asked_for() {
    let entry = "{\"event\":\"Zoë 😀\",\n \"id\":\"1\"}\r\n , ";
    for ask in [1, 7, 5000] {
        let feed = format!("\u{feff}[{}0]", entry.repeat(30_000));
        let mut walk = Walk::new(feed.as_bytes(), &options());
        let (mut line, mut column, mut byte) = (1, 2, 4);
        while let Some(found) = walk.next().expect("no fault") {
            if found.index % ask == 0 {
                let at = found.position();
                assert_eq!(
                    (at.line, at.column, at.byte),
                    (line, column, byte),
                    "entry {}",
                    found.index
                );
                if found.index < 30_000 {
                    let id = found.position_of(found.raw.find("\"id\"").unwrap());
                    assert_eq!((id.line, id.column), (line + 1, 2), "entry {}", found.index);
                }
            }
            line += 2;
            column = 4;
            byte += entry.len() as u64;
        }
    }
}

#[test]
fn a_byte_order_mark_counts_in_bytes_only() {
    let place = |feed: &str| {
        let fault = fault(feed.as_bytes(), &options()).expect("a fault");
        let at = fault.at.unwrap();
        (fault.code, at.line, at.column, at.byte)
    };
    assert_eq!(place("\u{feff}[x]"), (ViolationCode::JsonSyntax, 1, 2, 4));
    assert_eq!(place("\u{feff}x"), (ViolationCode::JsonSyntax, 1, 1, 3));
    assert_eq!(place("\u{feff}"), (ViolationCode::JsonSyntax, 1, 1, 3));
    assert_eq!(place("\u{feff}{}"), (ViolationCode::NotAnArray, 1, 1, 3));
    assert_eq!(place("\u{feff}[]\n,"), (ViolationCode::TrailingContent, 2, 1, 6));
    assert_eq!(place("\u{feff}\u{feff}[]"), (ViolationCode::JsonSyntax, 1, 1, 3));
}

#[test]
fn syntax_is_explained_in_words_that_help() {
    let check = |feed: &str, column: u64, words: &str| {
        let fault = fault(feed.as_bytes(), &options()).unwrap_or_else(|| panic!("{feed}: no fault"));
        assert_eq!(fault.code, ViolationCode::JsonSyntax, "{feed}: {fault:?}");
        assert_eq!(fault.at.unwrap().column, column, "{feed}: {fault:?}");
        assert!(fault.detail.contains(words), "{feed}: {}", fault.detail);
    };
    check("", 1, "is empty");
    check("  ", 3, "nothing but white space");
    check("[", 2, "before the first entry was complete");
    check("[{}", 4, "after 1 complete entry");
    check("[{},", 5, "a value is wanted");
    check("[{\"a\"", 6, "after a name");
    check("[{\"a\":tr", 9, "inside a word");
    check("[{\"a\":-", 8, "inside a number");
    check("[{\"a\":\"x\\u12", 13, "inside a string");
    check("[{}{}]", 4, "a comma is missing between two objects");
    check("[1 2]", 4, "a comma is missing between two values");
    check("[{\"a\":1 \"b\":2}]", 9, "a comma is missing before `\"b\"`");
    check("[{\"a\":\"x\"\"b\":2}]", 10, "a comma is missing before `\"b\"`");
    check("[{\"a\":\"a \"quoted\" word\"}]", 11, "write it as `\\\"`");
    check("[{\"a\":1,}]", 9, "after a comma; remove");
    check("[{},]", 5, "after a comma; remove");
    check("[[1,]]", 5, "after a comma; remove");
    check("[,{}]", 2, "before the first element");
    check("[{},,{}]", 5, "two commas");
    check("[{,\"a\":1}]", 3, "before the first member");
    check("[{\"a\":1,,\"b\":2}]", 9, "two commas");
    check("[{\"a\":}]", 7, "value after `:` is missing");
    check("[{\"a\"}]", 6, "has no value");
    check("[{\"a\" 1}]", 7, "`:` is missing");
    check("[{\"a\"=1}]", 6, "found `=`");
    check("[{'a':1}]", 3, "single quotation mark");
    check("[{\"a\":'x'}]", 7, "single quotation mark");
    check("[{“a”:1}]", 3, "typographic");
    check("[{\"a\":“x”}]", 7, "typographic");
    check("[{a:1}]", 3, "name without quotation marks");
    check("[{\"a\":x}]", 7, "text without quotation marks");
    check("[{\"a\":NaN}]", 7, "NaN");
    check("[{\"a\":-Infinity}]", 8, "Infinity");
    check("[{\"a\":nan}]", 8, "write `null`");
    check("[{\"a\":None}]", 7, "write");
    check("[{\"a\":undefined}]", 7, "writes `null`");
    check("[{\"a\":True}]", 7, "capital");
    check("[{\"a\":nulL}]", 10, "should be `null`");
    check("[{\"a\":1 // one\n}]", 9, "comment");
    check("[/* all */]", 2, "comment");
    check("[{\"a\":01}]", 8, "must not begin with a zero");
    check("[{\"a\":+1}]", 7, "without a sign");
    check("[{\"a\":.5}]", 7, "begins with a digit");
    check("[{\"a\":5.}]", 9, "after the decimal point");
    check("[{\"a\":5e}]", 9, "in the exponent");
    check("[{\"a\":7,98}]", 9, "decimals are written with a point");
    check("[{\"a\":0x1F}]", 8, "after a number");
    check("[{\"a\":\"\t\"}]", 8, "a tab (U+0009)");
    check("[{\"a\":\"\0\"}]", 8, "NUL");
    check("[{\"a\":\"\\x\"}]", 9, "after a backslash");
    check("[{\"a\":\"\\u12G4\"}]", 12, "hexadecimal");
    check("[{\"a\":[1}]", 9, "array is still open");
    check("[{\"a\":1]]", 8, "object is still open");
    check("[\u{a0}{}]", 2, "no-break space");
    check("[{},\u{feff}{}]", 5, "byte-order mark");
    check("event,id\n", 1, "found `e`, with which no JSON begins");
    check("truth", 1, "array of events is wanted");
    check("<html>", 1, "HTML");
    check("\0\0\0\0\0\0", 1, "NUL bytes");
    check(
        "[\0\n{\"event\":\"a\",\"id\":\"1\"}]",
        2,
        "the invisible character U+0000",
    );
    check("[\x001]", 2, "the invisible character U+0000");
}

#[test]
fn no_fault_shows_an_email_or_an_id() {
    // Cut, doubled or spoilt at every place: no excerpt and no sentence may show the values.
    let feed =
        r#"[{"event": "Login", "id": "4711x", "email": "adax@example.com", "cart": [{"id": 4711}]}, {"id":"4711"}]"#;
    for at in 0..=feed.len() {
        for spoil in [
            "", "\"", "\" \"", "'", "”", "\n", ",", ":", "{", "]", "x", "\\", "\u{1}",
        ] {
            for skip in 0..=1 {
                if at + skip > feed.len() {
                    continue;
                }
                let broken = format!("{}{spoil}{}", &feed[..at], &feed[at + skip..]);
                for text in [broken.as_bytes(), &broken.as_bytes()[..at]] {
                    let Some(fault) = fault(text, &options()) else { continue };
                    let said = format!("{} {}", fault.detail, fault.excerpt.unwrap_or_default());
                    let shown = said.contains("711") || said.contains("dax") || said.contains("xample");
                    assert!(!shown, "{broken}\n{said}");
                }
            }
        }
    }
}

#[test]
fn a_million_brackets_do_not_overflow_the_stack() {
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let place = |feed: &[u8], options: &Options| {
        fault(feed, options).map(|fault| (fault.code, fault.entry, fault.at.unwrap().byte))
    };
    assert_eq!(place(&deep(128), &options()), None);
    assert_eq!(
        place(&deep(129), &options()),
        Some((ViolationCode::Depth, Some(0), 128))
    );
    assert_eq!(
        place(&deep(1_000_000), &options()),
        Some((ViolationCode::Depth, Some(0), 128))
    );
    assert_eq!(
        place(&vec![b'['; 1_000_000], &options()),
        Some((ViolationCode::Depth, Some(0), 128))
    );
    let objects = format!("[{}1{}]", "{\"a\":".repeat(128), "}".repeat(128));
    assert_eq!(
        place(objects.as_bytes(), &options()),
        Some((ViolationCode::Depth, Some(0), 1 + 127 * 5))
    );

    let boundless = Options {
        depth_max: u32::MAX,
        ..options()
    };
    assert_eq!(place(&deep(1_000_000), &boundless), None);
    let shallow = |depth_max| Options { depth_max, ..options() };
    assert_eq!(place(b"[1]", &shallow(1)), None);
    assert_eq!(place(b"[{}]", &shallow(1)), Some((ViolationCode::Depth, Some(0), 1)));
    assert_eq!(place(b"[1]", &shallow(0)), Some((ViolationCode::Depth, None, 0)));
}

#[test]
fn an_entry_may_be_as_large_as_the_limit_and_no_larger() {
    let limit = |entry_bytes_max| Options {
        entry_bytes_max,
        ..options()
    };
    for size in [2, 10, 300_000] {
        let entry = format!("\"{}\"", "x".repeat(size - 2));
        let feed = format!("[1, {entry} , {entry}]");
        assert_eq!(fault(feed.as_bytes(), &limit(size as u64)), None, "{size}");
        let found = fault(feed.as_bytes(), &limit(size as u64 - 1)).expect("a fault");
        assert_eq!(
            (found.code, found.entry, found.at.unwrap().column),
            (ViolationCode::EntryTooLarge, Some(1), 5)
        );
    }
    // What is wrong within the limit is told as what it is; what lies behind is not looked at.
    assert_eq!(fault(b"[\"xx\xff", &limit(4)).unwrap().code, ViolationCode::Encoding);
    assert_eq!(
        fault(b"[\"xxxx\xff", &limit(4)).unwrap().code,
        ViolationCode::EntryTooLarge
    );
    assert_eq!(fault(b"[\"xx\n", &limit(4)).unwrap().code, ViolationCode::JsonSyntax);
    assert_eq!(
        fault(b"[\"xxxx\n", &limit(4)).unwrap().code,
        ViolationCode::EntryTooLarge
    );
}

/// What serde_json makes of a feed, with the UTF-8 check and the depth rule beside it.
fn oracle(feed: &[u8], depth_max: u32) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(feed).ok()?;
    let entries: Vec<&RawValue> = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let (mut open, mut deepest, mut quoted, mut escaped) = (0u32, 0u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !quoted => open -= 1,
            _ => {}
        }
    }
    (deepest <= depth_max).then(|| entries.into_iter().map(RawValue::get).collect())
}

fn ours(feed: &[u8], options: &Options) -> Result<Vec<String>, Violation> {
    let mut walk = Walk::new(feed, options);
    let mut entries = Vec::new();
    loop {
        match walk.next() {
            Ok(Some(entry)) => entries.push(entry.raw.to_owned()),
            Ok(None) => return Ok(entries),
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Read(error)) => panic!("reading: {error}"),
        }
    }
}

/// JSON, more or less: the grammar's own words, joined at random, come near to it often enough.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        "\"([a-z é€😀{}\\[\\],:]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,8}\"",
    ];
    let blank = "[ \n\r\t]{0,2}";
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let padded = (blank, inner, blank).prop_map(|(before, value, after)| before + &value + &after);
        let member = ("(event|id|email|[a-z]{0,3}|\\\\u0069d)", padded.clone())
            .prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(padded, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    let feed =
        prop::collection::vec(value, 0..5).prop_map(|entries| format!("[{}]\n", entries.join(", ")).into_bytes());
    let byte = prop_oneof![
        prop::sample::select(b"[]{},:\"\\/u0123456789.eE+-tfn \n\t'#".to_vec()),
        prop::sample::select(vec![
            0u8, 1, 0x1f, 0x7f, 0x80, 0xbf, 0xc3, 0xa9, 0xe2, 0x82, 0xed, 0xa0, 0xf0, 0x9f, 0xff
        ]),
        any::<u8>(),
    ];
    let change = (any::<prop::sample::Index>(), 0..4u8, byte);
    (feed, prop::collection::vec(change, 0..4)).prop_map(|(mut feed, changes)| {
        for (index, kind, byte) in changes {
            let at = index.index(feed.len() + 1);
            match kind {
                0 if at < feed.len() => feed[at] = byte,
                1 if at < feed.len() => drop(feed.remove(at)),
                2 => feed.truncate(at),
                _ => feed.insert(at, byte),
            }
        }
        feed
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn the_reader_agrees_with_serde_json(feed in text(), depth_max in prop::sample::select(vec![1u32, 2, 3, 128])) {
        let options = Options { depth_max, ..options() };
        match (oracle(&feed, depth_max), ours(&feed, &options)) {
            (Some(theirs), Ok(ours)) => prop_assert_eq!(theirs, ours),
            (None, Err(_)) => {}
            (theirs, ours) => prop_assert!(false, "{:?}: serde_json {theirs:?}, we {ours:?}", String::from_utf8_lossy(&feed)),
        }
    }

    #[test]
    fn a_fault_lies_at_the_first_byte_that_cannot_be(feed in text()) {
        let Err(fault) = ours(&feed, &options()) else { return Ok(()) };
        let at = fault.at.expect("a place");
        let byte = at.byte as usize;

        // Up to that byte nothing is wrong, but that it ends; with that byte it is.
        if let Err(before) = ours(&feed[..byte], &options()) {
            prop_assert_eq!(before.at.unwrap().byte, at.byte);
        }
        if byte < feed.len() && fault.code != ViolationCode::Encoding {
            let with = ours(&feed[..=byte], &options()).expect_err("the byte is wrong");
            prop_assert_eq!(with.at.unwrap().byte, at.byte);
        }

        // Line and column are those of a plain count.
        let before = feed[..byte].strip_prefix(b"\xef\xbb\xbf").unwrap_or(&feed[..byte]);
        let before = std::str::from_utf8(before).unwrap_or_else(|error| std::str::from_utf8(&before[..error.valid_up_to()]).unwrap());
        let cut = usize::from(before.len() < byte && byte == feed.len());
        let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1);
        prop_assert_eq!(at.line, line as u64);
        prop_assert!((column..=column + cut).contains(&(at.column as usize)));
    }

    #[test]
    fn judging_never_fails_and_never_depends_on_read_sizes(feed in text(), size in 1usize..9) {
        prop_assert_eq!(summary(Pieces(&feed, size), &options()), summary(&feed[..], &options()));
    }
}
