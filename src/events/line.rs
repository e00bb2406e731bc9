//! An event as one line of JSON: what `feedgate events` prints and the `file` destination keeps, and what `http` sends.

use std::io::Write;

use super::{Event, push_utc};
use crate::large::room_for;

/// Appends `{"id","import","archive","index","event","body"}` and a line feed. The body comes last and as given; where it
/// is spread over several lines, the white space between its tokens goes, so that it fits on one.
pub fn push_line(into: &mut Vec<u8>, event: &Event<'_>) {
    // Writing to a vector does not fail.
    write!(into, r#"{{"id":"{}","import":{},"archive":"#, event.id, event.import).ok();
    push_string(into, event.archive);
    write!(into, r#","index":{},"event":"#, event.index).ok();
    push_string(into, event.name());
    into.extend_from_slice(br#","body":"#);
    push_on_one_line(into, event.body.as_bytes());
    into.extend_from_slice(b"}\n");
}

/// Appends `{"id","source","import","archive","index","event","time","body"}`, without a line feed. To whom it is sent has
/// only this: so it says where it is from, and when it happened, as ISO 8601 in UTC.
pub fn push_message(into: &mut Vec<u8>, event: &Event<'_>) {
    write!(into, r#"{{"id":"{}","source":"#, event.id).ok();
    push_string(into, event.source);
    write!(into, r#","import":{},"archive":"#, event.import).ok();
    push_string(into, event.archive);
    write!(into, r#","index":{},"event":"#, event.index).ok();
    push_string(into, event.name());
    let mut time = String::with_capacity(24);
    push_utc(&mut time, event.at);
    write!(into, r#","time":"{time}","body":"#).ok();
    push_on_one_line(into, event.body.as_bytes());
    into.push(b'}');
}

fn push_string(into: &mut Vec<u8>, text: &str) {
    if text
        .bytes()
        .all(|byte| (b' '..b'\x7f').contains(&byte) && byte != b'"' && byte != b'\\')
    {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        return;
    }
    // A string always serializes. What could move a cursor is escaped: these lines are read on terminals too.
    let json = serde_json::to_string(text).unwrap_or_default();
    into.extend_from_slice(crate::telemetry::json_escaped(&json).as_bytes());
}

/// Copies valid JSON. Line ends can only stand between tokens there: inside strings they are escaped.
fn push_on_one_line(into: &mut Vec<u8>, json: &[u8]) {
    into.reserve_exact(room_for(into.len(), json.len()));
    if memchr::memchr2(b'\n', b'\r', json).is_none() {
        into.extend_from_slice(json);
        return;
    }
    let mut rest = json;
    // Strings are copied whole; between them, all but white space.
    while let Some(quote) = memchr::memchr(b'"', rest) {
        push_without_blanks(into, &rest[..quote]);
        let end = string_end(&rest[quote..]) + quote;
        into.extend_from_slice(&rest[quote..end]);
        rest = &rest[end..];
    }
    push_without_blanks(into, rest);
}

fn push_without_blanks(into: &mut Vec<u8>, tokens: &[u8]) {
    into.extend(
        tokens
            .iter()
            .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
    );
}

/// The length of the string that `json` begins with, quotes included.
fn string_end(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventId;

    fn check_body(body: &str, expect: &str) {
        let mut line = Vec::new();
        push_on_one_line(&mut line, body.as_bytes());
        assert_eq!(String::from_utf8_lossy(&line), expect);
    }

    #[test]
    fn a_body_on_one_line_stays_as_it_is() {
        check_body(r#"{ "a" : 5.00 }"#, r#"{ "a" : 5.00 }"#);
    }

    #[test]
    fn a_body_on_several_lines_loses_the_blanks_between_its_tokens() {
        check_body("{\n  \"a\": 5.00,\r\n\t\"b\": [1, 2]\n}", r#"{"a":5.00,"b":[1,2]}"#);
        check_body("{\n\"a b\":\" c  d \"}", r#"{"a b":" c  d "}"#);
        check_body("{\n\"a\\\\\": \"\\\"  \\\\\" }", r#"{"a\\":"\"  \\"}"#);
        check_body("[\n\"\\u0022  \\\" \", 1e+5 ]", r#"["\u0022  \" ",1e+5]"#);
    }

    #[test]
    fn what_is_no_json_does_not_hang_or_panic() {
        check_body("\n\"open", "\"open");
        check_body("\n\"open\\", "\"open\\");
        check_body("\n\"", "\"");
    }

    fn an_event() -> Event<'static> {
        Event {
            id: EventId {
                key: "0123",
                index: 7,
                item: 0,
            },
            import: 3,
            source: "acme",
            archive: "event_history_20191118170500.json.zip",
            index: 7,
            event: "say \"hi\"\n",
            renamed: None,
            user_id: None,
            email: None,
            business_unit: None,
            at: 0,
            body: "{\"event\":\n\"x\"}",
        }
    }

    #[test]
    fn keys_in_the_promised_order() {
        let mut line = Vec::new();
        push_line(&mut line, &an_event());
        assert_eq!(
            String::from_utf8_lossy(&line),
            "{\"id\":\"0123-7\",\"import\":3,\"archive\":\"event_history_20191118170500.json.zip\",\"index\":7,\
             \"event\":\"say \\\"hi\\\"\\n\",\"body\":{\"event\":\"x\"}}\n"
        );
    }

    #[test]
    fn a_message_says_where_it_is_from_and_when_it_happened() {
        let mut message = Vec::new();
        let event = Event {
            renamed: Some("greeting"),
            at: 1_574_096_700_007,
            ..an_event()
        };
        push_message(&mut message, &event);
        assert_eq!(
            String::from_utf8_lossy(&message),
            "{\"id\":\"0123-7\",\"source\":\"acme\",\"import\":3,\
             \"archive\":\"event_history_20191118170500.json.zip\",\"index\":7,\"event\":\"greeting\",\
             \"time\":\"2019-11-18T17:05:00.007Z\",\"body\":{\"event\":\"x\"}}"
        );
    }
}
