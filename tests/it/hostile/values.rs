//! JSON, within an entry: numbers, texts, words that are none, and characters that are none.

use super::feeds::{ENCODING, MEMBERS, SYNTAX, TAKEN, entry, value};
use super::{Hazard, feed, visit};

fn numbers_and_texts() -> Vec<Hazard> {
    let mut hazards = vec![
        entry(
            "serde_json's own name for a number",
            TAKEN,
            r#""$serde_json::private::Number":"1e9""#,
        ),
        entry(
            "serde_json's own name for raw text",
            TAKEN,
            r#""$serde_json::private::RawValue":"{\"event\":\"x\"}""#,
        ),
        value(
            "the same, as all that an object has",
            TAKEN,
            r#"{"$serde_json::private::Number":"x"}"#,
        ),
        value(
            "raw text that is no JSON",
            TAKEN,
            r#"{"$serde_json::private::RawValue":"{"}"#,
        ),
        feed(
            "an event of that name",
            TAKEN,
            r#"[{"event":"$serde_json::private::Number","id":"1"}]"#,
        ),
        feed(
            "an id of that name",
            TAKEN,
            r#"[{"event":"order","id":"$serde_json::private::RawValue"}]"#,
        ),
        feed(
            "an object that is only that",
            "failed all_rejected, 1 rejects",
            r#"[{"$serde_json::private::RawValue":"{\"event\":\"order\",\"id\":\"1\"}"}]"#,
        ),
        value("half a character", TAKEN, r#""\ud800""#),
        value("two halves in the wrong order", TAKEN, r#""\ude00\ud83d""#),
        value("NUL as an escape", TAKEN, r#""\u0000""#),
        value("a line separator as it is", TAKEN, "\"\u{2028}\""),
        value("a character that is none", TAKEN, "\"\u{ffff}\u{10ffff}\""),
        value("DEL as it is", TAKEN, "\"\u{7f}\""),
        feed(
            "half a character in an id",
            "failed all_rejected, 1 rejects",
            r#"[{"event":"order","id":"\ud800"}]"#,
        ),
        feed(
            "NUL in an id",
            "failed all_rejected, 1 rejects",
            r#"[{"event":"order","id":"a\u0000"}]"#,
        ),
        feed(
            "NUL in an event's name",
            "failed all_rejected, 1 rejects",
            r#"[{"event":"\u0000","id":"1"}]"#,
        ),
        feed("an id that is -0", TAKEN, r#"[{"event":"order","id":-0}]"#),
        feed(
            "an id that is 1e999999999",
            "failed all_rejected, 1 rejects",
            r#"[{"event":"order","id":1e999999999}]"#,
        ),
        feed(
            "an id that is there in other letters too",
            "failed all_rejected, 1 rejects",
            r#"[{"event":"order","id":"1","\u0069d":"2"}]"#,
        ),
        feed(
            "names that differ by case alone",
            TAKEN,
            r#"[{"event":"order","id":"1","ID":"2","Id":"3"}]"#,
        ),
    ];
    for number in [
        "1e999999999",
        "-1e-999999999",
        "-0",
        "0e-1",
        "1E+2",
        "9007199254740993",
        "0.1000000000000000055",
    ] {
        hazards.push(value(number, TAKEN, number));
    }
    for text in [
        "01",
        "-01",
        "+1",
        ".5",
        "5.",
        "1e",
        "1e+",
        "0x1F",
        "1_000",
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "True",
        "undefined",
        "nulL",
        "'x'",
        "x",
        "\"a",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u{41}\"",
        "\"\\'\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "1 /* one */",
        "1 // one\n",
        "1 # one\n",
        "\"\t\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "\u{a0}1",
        "\u{c}1",
        "\u{b}1",
        "\u{feff}1",
        "\u{2028}1",
        "1\u{0}",
        "(1)",
        "\"a\" \"b\"",
        "\"a\"+\"b\"",
        "[1}",
        "{\"a\":1]",
        "]",
        "}",
        "",
        "-",
        "--1",
        "1.2.3",
        "1e5.5",
        "\u{ff11}",
        "“x”",
    ] {
        hazards.push(value(&format!("{text:?}"), SYNTAX, text));
    }
    hazards
}

fn encodings() -> Vec<Hazard> {
    let between = format!("[{{{MEMBERS}}},");
    let wide = |order: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let text = format!("{}[{{{MEMBERS}}}]", if mark { "\u{feff}" } else { "" });
        text.encode_utf16().flat_map(order).collect()
    };
    let wider = |order: fn(u32) -> [u8; 4]| -> Vec<u8> {
        let text = format!("\u{feff}[{{{MEMBERS}}}]");
        text.chars().flat_map(|char| order(u32::from(char))).collect()
    };
    let mut hazards = vec![
        feed("a byte-order mark", TAKEN, format!("\u{feff}[{{{MEMBERS}}}]")),
        feed(
            "two byte-order marks",
            SYNTAX,
            format!("\u{feff}\u{feff}[{{{MEMBERS}}}]"),
        ),
        feed(
            "a byte-order mark after the bracket",
            SYNTAX,
            format!("[\u{feff}{{{MEMBERS}}}]"),
        ),
        feed(
            "a byte-order mark at the end",
            "failed trailing_content",
            format!("[{{{MEMBERS}}}]\u{feff}"),
        ),
        feed(
            "UTF-16, little endian, with its mark",
            ENCODING,
            wide(u16::to_le_bytes, true),
        ),
        feed(
            "UTF-16, big endian, with its mark",
            ENCODING,
            wide(u16::to_be_bytes, true),
        ),
        feed("UTF-16, little endian", ENCODING, wide(u16::to_le_bytes, false)),
        feed("UTF-16, big endian", ENCODING, wide(u16::to_be_bytes, false)),
        feed("UTF-32, little endian", ENCODING, wider(u32::to_le_bytes)),
        feed("UTF-32, big endian", ENCODING, wider(u32::to_be_bytes)),
        feed("UTF-7", "failed json_syntax", "+AFs-]"),
        feed(
            "a name that is no UTF-8",
            ENCODING,
            [&b"[{\"a\xff\":1,"[..], MEMBERS.as_bytes(), b"}]"].concat(),
        ),
        feed(
            "a byte between two entries that is no UTF-8",
            ENCODING,
            [between.as_bytes(), b"\xa0", b"{}]"].concat(),
        ),
        feed("NUL between two entries", SYNTAX, format!("{between}\u{0}{{}}]")),
        feed(
            "NUL behind the feed",
            "failed trailing_content",
            format!("[{{{MEMBERS}}}]\u{0}\u{0}"),
        ),
    ];
    for (what, bytes) in [
        ("Latin-1", &b"\"M\xfcller\""[..]),
        ("a `/` in two bytes", b"\"\xc0\xaf\""),
        ("a NUL in two bytes", b"\"\xc0\x80\""),
        ("a `/` in three bytes", b"\"\xe0\x80\xaf\""),
        ("a `/` in four bytes", b"\"\xf0\x80\x80\xaf\""),
        ("half a character in three bytes", b"\"\xed\xa0\x80\""),
        (
            "a character in two halves of three bytes",
            b"\"\xed\xa0\xbd\xed\xb8\x80\"",
        ),
        ("a code point beyond the last", b"\"\xf4\x90\x80\x80\""),
        ("five bytes", b"\"\xf8\x88\x80\x80\x80\""),
        ("the second byte alone", b"\"\x80\""),
        ("the first byte alone", b"\"\xe2\x82\""),
        ("0xFE and 0xFF", b"\"\xfe\xff\""),
    ] {
        hazards.push(value(what, ENCODING, bytes));
    }
    hazards
}

#[test]
fn numbers_and_texts_are_kept_as_given_or_refused() {
    let hazards = numbers_and_texts();
    let gate = visit(&hazards);
    // Each event that was taken in comes out as it went in, byte for byte, serde_json's own names included.
    let printed = gate.cli(["events"]).stdout;
    for hazard in hazards.iter().filter(|hazard| hazard.answer == TAKEN) {
        let zip = (hazard.archive)("event_history_20200101000000.json");
        let mut data = String::new();
        let packed = &zip[30 + 33..];
        std::io::Read::read_to_string(&mut flate2::read::DeflateDecoder::new(packed), &mut data).expect("it is text");
        let body = data.trim_start_matches('[').trim_end_matches(']');
        assert!(
            printed.contains(&format!("\"body\":{body}}}\n")),
            "{}: {body}",
            hazard.what
        );
    }
    for line in printed.lines() {
        serde_json::from_str::<Box<serde_json::value::RawValue>>(line).expect("JSON");
        assert!(!line.contains('\0'));
    }
}

#[test]
fn text_is_utf_8_or_refused() {
    visit(&encodings());
}
