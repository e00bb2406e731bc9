//! JSON, as a whole: sizes and depths that parsers die of, and what is nearly a feed.

use super::{Hazard, feed, visit};

pub(super) const MEMBERS: &str = r#""event":"order","id":"1""#;

/// An entry that is an event, but for what is done to it.
pub(super) fn entry(what: &str, answer: &str, more: &str) -> Hazard {
    feed(what, answer, format!("[{{{MEMBERS},{more}}}]"))
}

/// A value within an event, as bytes.
pub(super) fn value(what: &str, answer: &str, value: impl AsRef<[u8]>) -> Hazard {
    let bytes = [format!("[{{{MEMBERS},\"x\":").as_bytes(), value.as_ref(), b"}]"].concat();
    feed(what, answer, bytes)
}

/// So many arrays within each other, as the value of an event: two more containers are open around them.
fn nested(depth: usize) -> Vec<u8> {
    [vec![b'['; depth], vec![b']'; depth]].concat()
}

pub(super) const TAKEN: &str = "processed, 1 events";
pub(super) const SYNTAX: &str = "failed json_syntax";
pub(super) const ENCODING: &str = "failed encoding";

fn size_and_depth() -> Vec<Hazard> {
    let text = |len: usize| format!("\"{}\"", "x".repeat(len));
    let members = |count: usize, name: fn(usize) -> String| {
        let members: Vec<String> = (0..count).map(|number| format!("\"{}\":1", name(number))).collect();
        members.join(",")
    };
    vec![
        value("64 containers within each other", TAKEN, nested(62)),
        value("128, which is the limit", TAKEN, nested(126)),
        value("129", "failed depth", nested(127)),
        value("a million, closed again", "failed depth", nested(1_000_000)),
        value("a million, never closed", "failed depth", vec![b'['; 1_000_000]),
        value(
            "a million objects within each other",
            "failed depth",
            "{\"a\":".repeat(1_000_000),
        ),
        feed(
            "a million arrays in place of the feed",
            "failed depth",
            nested(1_000_000),
        ),
        value("a text of 4 MB", TAKEN, text(4 << 20)),
        value(
            "a text of 4 MB, all of it escapes",
            TAKEN,
            format!("\"{}\"", "\\u0041".repeat(700_000)),
        ),
        value(
            "a text larger than an entry may be",
            "failed entry_too_large",
            text(16 << 20),
        ),
        value("a number of a million digits", TAKEN, "7".repeat(1_000_000)),
        value(
            "a number with a million digits behind the point",
            TAKEN,
            format!("0.{}", "3".repeat(1_000_000)),
        ),
        entry(
            "a name of a million characters",
            TAKEN,
            &format!("{}:1", text(1_000_000)),
        ),
        entry("200,000 members", TAKEN, &members(200_000, |number| number.to_string())),
        entry(
            "one name 200,000 times",
            TAKEN,
            &members(200_000, |_| "same".to_owned()),
        ),
        feed(
            "200,000 equal ids",
            TAKEN,
            format!("[{{\"event\":\"order\"{}}}]", ",\"id\":\"1\"".repeat(200_000)),
        ),
        feed(
            "200,000 equal ids and one that differs, and then an event",
            "processed, 1 events, 1 rejects",
            format!(
                "[{{\"event\":\"order\"{},\"id\":\"2\"}},{{{MEMBERS}}}]",
                ",\"id\":\"1\"".repeat(200_000)
            ),
        ),
        feed(
            "100,000 empty objects",
            "failed all_rejected, 100000 rejects",
            format!("[{{}}{}]", ",{}".repeat(99_999)),
        ),
        feed(
            "a million blanks",
            "processed, 0 events",
            format!("[{}]", " ".repeat(1_000_000)),
        ),
        feed(
            "a million line breaks, and then an event",
            TAKEN,
            format!("{}[{{{MEMBERS}}}]", "\n".repeat(1_000_000)),
        ),
        feed("an id of a million characters", "failed all_rejected, 1 rejects", {
            format!("[{{\"event\":\"order\",\"id\":{}}}]", text(1_000_000))
        }),
        feed(
            "an event's name of a million escapes",
            "failed all_rejected, 1 rejects",
            format!("[{{\"event\":\"{}\",\"id\":\"1\"}}]", "\\n".repeat(1_000_000)),
        ),
    ]
}

fn roots() -> Vec<Hazard> {
    let entry = format!("{{{MEMBERS}}}");
    vec![
        feed("nothing", SYNTAX, ""),
        feed("blanks", SYNTAX, " \n\t"),
        feed("NULs", SYNTAX, vec![0; 5_000]),
        feed("no entries", "processed, 0 events", "[]"),
        feed("an object", "failed not_an_array", entry.clone()),
        feed(
            "an object that holds the feed",
            "failed not_an_array",
            format!("{{\"events\":[{entry}]}}"),
        ),
        feed("an object a line", "failed not_an_array", format!("{entry}\n{entry}\n")),
        feed(
            "objects without brackets",
            "failed not_an_array",
            format!("{entry},{entry}"),
        ),
        feed(
            "a text that holds the feed",
            "failed not_an_array",
            r#""[{\"event\":\"order\",\"id\":\"1\"}]""#,
        ),
        feed("null", "failed not_an_array", "null"),
        feed("a number", "failed not_an_array", "1e999999999"),
        feed("two feeds", "failed trailing_content", format!("[{entry}][{entry}]")),
        feed(
            "two feeds, a line each",
            "failed trailing_content",
            format!("[{entry}]\n[{entry}]"),
        ),
        feed(
            "a comma behind the feed",
            "failed trailing_content",
            format!("[{entry}],"),
        ),
        feed("a second bracket", "failed trailing_content", format!("[{entry}]]")),
        feed("a comment before it", SYNTAX, format!("// feed\n[{entry}]")),
        feed("a function's call around it", SYNTAX, format!("callback([{entry}])")),
        feed("what browsers are not to run", SYNTAX, format!(")]}}',\n[{entry}]")),
        feed("a comma behind the last entry", SYNTAX, format!("[{entry},]")),
        feed("a comma before the first entry", SYNTAX, format!("[,{entry}]")),
        feed("no comma between two entries", SYNTAX, format!("[{entry}{entry}]")),
        feed("a feed cut in an entry", SYNTAX, format!("[{entry},{{\"event\":\"or")),
        feed("a feed cut between two entries", SYNTAX, format!("[{entry},")),
        feed("entries of every other kind", "processed, 1 events, 7 rejects", {
            format!("[1,null,true,\"x\",[],[{entry}],{{}},{entry}]")
        }),
        feed("a table", SYNTAX, "event,id\norder,1\n"),
        feed("a page", SYNTAX, "<html><body>502 Bad Gateway</body></html>"),
        feed("a gzip", SYNTAX, b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()),
    ]
}

#[test]
fn whatever_its_size_and_depth() {
    visit(&size_and_depth());
}

#[test]
fn a_feed_is_one_array() {
    visit(&roots());
}
