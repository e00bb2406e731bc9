//! What of a feed may be shown: everything but the values of `email` and `id`, and of what definitions call sensitive.
//!
//! They are covered at whatever depth, and also where the text around a fault is no JSON any more: quotation marks may be
//! missing, curly or single, a colon forgotten. So this reads tokens, not grammar: a word or text that spells a sensitive
//! name makes what follows it its value. In doubt more is covered than needed. `tests/it/feeds.rs` spoils a feed at each
//! of its bytes, and looks for the values in whatever is said of it.

use std::ops::Range;
use std::sync::Arc;

use super::excerpt::escape;
use super::scan::{is_blank, skip_blanks};
use super::text::unescaped;

/// What stands in place of a value.
pub(super) const MASK: &str = "\"***\"";

/// Names whose values are never shown, at whatever depth they stand: `email`, `id`, and those that are given here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sensitive {
    names: Arc<[String]>,
    /// Names of what such values lie in: a text in place of it may hold them, spelt out once more.
    around: Arc<[String]>,
}

impl Sensitive {
    /// `email`, `id` and these; and what stands in place of the objects and arrays around them, if it is neither.
    pub fn of<'n>(names: impl Iterator<Item = &'n str>, around: impl Iterator<Item = &'n str>) -> Sensitive {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            // Where quotation marks are lost, a name of several words is read as these, and the last stands before the value.
            let last_word =
                name.rsplit(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_');
            for name in [Some(name), last_word.into_iter().next()].into_iter().flatten() {
                if !name.is_empty() && !all.iter().any(|known| known == name) {
                    all.push(name.to_owned());
                }
            }
        }
        Sensitive {
            names: all.into(),
            around: around.map(str::to_owned).collect(),
        }
    }

    /// Whether the values of this name are not shown.
    pub fn covers(&self, name: &str) -> bool {
        self.all().any(|one| one.eq_ignore_ascii_case(name))
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        ["email", "id"].into_iter().chain(self.names.iter().map(String::as_str))
    }
}

/// What of `text[window]` may be shown. Tokens are told apart from the beginning of `text` on; from `broken` on they are
/// no JSON, and a value may be more than one of them.
pub(super) fn shown(text: &[u8], window: Range<usize>, broken: usize, sensitive: &Sensitive) -> String {
    let mut out = String::new();
    let mut state = State::Elsewhere;
    let mut at = 0;
    while at < window.end.min(text.len()) {
        let token = token_at(text, at);
        let mut end = token.end();
        let covered = match (state, token) {
            (State::Awaited, Token::Blank(_) | Token::Sign(b':' | b'=', _)) => false,
            (State::Awaited, Token::Sign(b'{' | b'[', _)) => {
                end = container_end(text, at);
                state = State::Covered;
                true
            }
            (State::Around, Token::Blank(_) | Token::Sign(b':' | b'=', _)) => false,
            (State::Around, Token::Quoted(_) | Token::Word(_)) => {
                if at >= broken {
                    end = stretch_end(text, end);
                }
                state = State::Covered;
                true
            }
            // A comma or bracket in place of the colon.
            (State::Awaited, Token::Sign(..)) if at >= broken => false,
            (State::Awaited, Token::Quoted(_) | Token::Word(_)) => {
                if at >= broken {
                    end = stretch_end(text, end);
                }
                state = State::Covered;
                true
            }
            // The rest of a value: its quotation mark came too early, or a blank is in it that it cannot hold. A text behind a
            // blank may be shown only where it is a name: then a comma was forgotten.
            (State::Covered, Token::Blank(_)) => false,
            (State::Covered, Token::Sign(..)) if skip_blanks(text, end) >= broken => false,
            (State::Covered, Token::Word(_)) => {
                end = stretch_end(text, end);
                true
            }
            (State::Covered, Token::Quoted(_))
                if !is_blank(text[at - 1]) || text.get(skip_blanks(text, end)) != Some(&b':') =>
            {
                end = stretch_end(text, end);
                true
            }
            // Right behind a quotation mark that ended a text too early, or began one too late: it may be any value.
            (State::Elsewhere, Token::Word(_)) if at >= broken && text[..at].ends_with(b"\"") => {
                end = stretch_end(text, end);
                true
            }
            (_, Token::Blank(_) | Token::Sign(..)) => {
                state = State::Elsewhere;
                false
            }
            // A text with a colon in it, right before the fault: a quotation mark that was lost or escaped made one text of
            // several, names and values alike.
            (State::Elsewhere, Token::Quoted(_))
                if at < broken
                    && skip_blanks(text, end) >= broken
                    && memchr::memchr(b':', &text[at..end]).is_some() =>
            {
                state = State::Covered;
                true
            }
            (_, Token::Quoted(_)) => {
                let string = &text[at..end];
                state = if is_sensitive(string, sensitive) {
                    State::Awaited
                } else if is_around(string, sensitive) && is_name(text, end, broken) {
                    State::Around
                } else {
                    State::Elsewhere
                };
                false
            }
            (State::Elsewhere, Token::Word(_)) if is_sensitive(&text[at..end], sensitive) => {
                // A name without quotation marks: nothing up to the next comma can be trusted.
                emit(&mut out, text, at..end, &window);
                at = end;
                end = stretch_end(text, at);
                at < end
            }
            (State::Elsewhere, Token::Word(_)) => memchr::memchr(b'@', &text[at..end]).is_some(),
        };
        if covered {
            if window.contains(&at) {
                out.push_str(MASK);
            }
        } else if matches!(token, Token::Blank(_)) {
            if end > window.start {
                out.push(' ');
            }
        } else {
            emit(&mut out, text, at..end, &window);
        }
        at = end;
    }
    out
}

/// Where the values that may not be shown are.
#[derive(Clone, Copy)]
enum State {
    Elsewhere,
    /// A sensitive name was read: its value comes next.
    Awaited,
    /// The name of what such values lie in was read.
    Around,
    /// Right behind such a value.
    Covered,
}

/// A token and its end.
#[derive(Clone, Copy)]
enum Token {
    Blank(usize),
    Quoted(usize),
    Sign(u8, usize),
    Word(usize),
}

impl Token {
    fn end(self) -> usize {
        match self {
            Token::Blank(end) | Token::Quoted(end) | Token::Sign(_, end) | Token::Word(end) => end,
        }
    }
}

fn token_at(text: &[u8], at: usize) -> Token {
    match text[at] {
        byte if is_blank(byte) => Token::Blank(skip_blanks(text, at)),
        byte @ (b'{' | b'}' | b'[' | b']' | b',' | b':' | b'=' | b';') => Token::Sign(byte, at + 1),
        b'"' => Token::Quoted(quoted_end(text, at)),
        b'\'' => Token::Quoted(closed_by(text, at + 1, &["'", "\n"])),
        _ if opens_curly(&text[at..]) => Token::Quoted(closed_by(text, at + 3, &["“", "”", "‘", "’", "\"", "\n"])),
        _ => {
            let ends = |index: &usize| {
                is_blank(text[*index])
                    || matches!(
                        text[*index],
                        b'{' | b'}' | b'[' | b']' | b',' | b':' | b'=' | b';' | b'"' | b'\''
                    )
                    || opens_curly(&text[*index..])
            };
            Token::Word((at + 1..text.len()).find(ends).unwrap_or(text.len()))
        }
    }
}

fn opens_curly(text: &[u8]) -> bool {
    ["“", "”", "„", "‘", "’"]
        .iter()
        .any(|mark| text.starts_with(mark.as_bytes()))
}

/// End of the string that begins at `at`, its quotation mark included; the end of the text if it has none.
fn quoted_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(offset) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += offset;
        if text[at] == b'"' {
            return at + 1;
        }
        at = (at + 2).min(text.len());
    }
    text.len()
}

/// End of the first of these marks.
fn closed_by(text: &[u8], from: usize, marks: &[&str]) -> usize {
    for at in from..text.len() {
        if let Some(mark) = marks.iter().find(|mark| text[at..].starts_with(mark.as_bytes())) {
            return at + mark.len();
        }
    }
    text.len()
}

/// End of the container that begins at `at`: behind its closing bracket, of whatever kind.
fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut open = 0u64;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = quoted_end(text, at);
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// Index of the next comma, bracket or line end.
fn stretch_end(text: &[u8], from: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b'\n');
    text[from..]
        .iter()
        .position(ends)
        .map_or(text.len(), |offset| from + offset)
}

/// Whether a word, or a string with its marks, spells a name whose value may not be shown.
fn is_sensitive(token: &[u8], sensitive: &Sensitive) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'\'' | b':' | b' ' | 0x80..);
    let Some(from) = token.iter().position(|byte| !is_mark(byte)) else {
        // Not a letter that is no mark: a name in another script, or none at all.
        return sensitive.all().any(|name| !name.is_ascii());
    };
    // An escape that is read as a mark (`\"`) belongs to a mark that came too early.
    let same = |name: &[u8]| {
        let mut spelt = unescaped(&token[from..]).map(|byte| byte.to_ascii_lowercase());
        name.iter().all(|&letter| spelt.next() == Some(letter)) && spelt.all(|byte| is_mark(&byte))
    };
    // Likewise of the name, whose first letter may be no ASCII.
    let bare = |name: &str| {
        name.bytes()
            .skip_while(is_mark)
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    sensitive.all().any(|name| same(&bare(name)))
}

/// Whether a text, from what stands between its quotation marks, may hold an address, or the value of a sensitive name.
pub(super) fn may_hold_sensitive(inner: &[u8], sensitive: &Sensitive) -> bool {
    let spelt: Vec<u8> = unescaped(inner).collect();
    let mut words = spelt.split(|byte| !byte.is_ascii_alphanumeric());
    let is_within = |name: &String| {
        let mut places = spelt.windows(name.len());
        places.any(|place| place.eq_ignore_ascii_case(name.as_bytes()))
    };
    spelt.contains(&b'@')
        || words.any(|word| word.eq_ignore_ascii_case(b"email") || word.eq_ignore_ascii_case(b"id"))
        || sensitive.names.iter().any(is_within)
}

/// Whether a string, with its marks, spells the name of what sensitive values lie in.
fn is_around(token: &[u8], sensitive: &Sensitive) -> bool {
    let inner = token.strip_prefix(b"\"").unwrap_or(token);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let is = |name: &String| unescaped(inner).eq(name.bytes());
    sensitive.around.iter().any(is)
}

/// Whether a string that ends here is a name: a colon follows, unless that was lost.
fn is_name(text: &[u8], end: usize, broken: usize) -> bool {
    end >= broken || text.get(skip_blanks(text, end)) == Some(&b':')
}

/// Appends what of a token lies in the window.
fn emit(out: &mut String, text: &[u8], token: Range<usize>, window: &Range<usize>) {
    let part = token.start.max(window.start)..token.end.min(window.end);
    if part.start < part.end {
        escape(&text[part], out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::excerpt::around;
    use super::*;

    #[test]
    fn broken_text_is_masked_too() {
        let check = |text: &str, expect: &str| {
            for at in 0..=text.len() {
                if text.is_char_boundary(at) {
                    let excerpt = around(text.as_bytes(), at, &Sensitive::default());
                    assert!(
                        !excerpt.contains("ada") && !excerpt.contains("4711"),
                        "{text} at {at}: {excerpt}"
                    );
                }
            }
            let shown = shown(text.as_bytes(), 0..text.len(), 0, &Sensitive::default());
            assert_eq!(shown, expect, "{text}");
        };
        check(
            "{'email': 'ada@example.com', 'id': '4711'}",
            "{'email': \"***\", 'id': \"***\"}",
        );
        check("{email: ada@example.com, id: 4711}", "{email\"***\", id\"***\"}");
        check("{“email”: “ada@example.com”}", "{“email”: \"***\"}");
        check("{\"email\" \"ada@example.com\"}", "{\"email\" \"***\"}");
        check("{\"email\": ada@example.com}", "{\"email\": \"***\"}");
        check("{\"email: \"ada@example.com\"}", "{\"email: \"\"***\"}");
        check("{\"id\\\": \"4711\"}", "{\"id\\\": \"\"***\"}");
        check("{\"id\" = 4711}", "{\"id\" = \"***\"}");
        check("{\"id\": \"4711", "{\"id\": \"***\"");
        check("{\"id\": \"47\n11", "{\"id\": \"***\"");
        check(
            "{\"name: \"x\", \"id\": \"4711\"}",
            "{\"name: \"\"***\", \"id\": \"***\"}",
        );
    }

    #[test]
    fn what_follows_a_masked_value_is_shown_only_if_it_is_a_name() {
        // The fault lies at the bar.
        let check = |text: &str, expect: &str| {
            let at = text.find('|').expect("a bar");
            let text = text.replacen('|', "", 1);
            assert_eq!(around(text.as_bytes(), at, &Sensitive::default()), expect, "{text}");
        };
        check(r#"[{"id":"x" |"4711"}]"#, r#"[{"id":"***" "***"}]"#);
        check(r#"[{"id":"x"|; '4711' , 1}]"#, r#"[{"id":"***"; "***", "***"}]"#);
        check(r#"[{"id":"x" |["4711"]}]"#, r#"[{"id":"***" ["***"]}]"#);
        check(r#"[{"email":["x"] |"ada" "ada"}]"#, r#"[{"email":"***" "***"}]"#);
        check(r#"[{"id":"x" |"ada"#, r#"[{"id":"***" "***""#);
        check(r#"[{"id":7 |"event":"a"}]"#, r#"[{"id":"***" "event":…"#);
        check(r#"[{"id":7 |"email" "ada"}]"#, r#"[{"id":"***" "***"}]"#);
    }

    #[test]
    fn names_that_are_given_are_covered_like_those_that_are_known() {
        let names = ["age", "geburts_Name", "date of birth", "größe", "éa"];
        let sensitive = Sensitive::of(names.into_iter(), ["cart"].into_iter());
        let check = |text: &str, expect: &str| {
            assert_eq!(
                shown(text.as_bytes(), 0..text.len(), text.len(), &sensitive),
                expect,
                "{text}"
            );
        };
        check(
            r#"{"age":47,"page":8,"AGE":"x"}"#,
            r#"{"age":"***","page":8,"AGE":"***"}"#,
        );
        check(r#"{"geburts_name":{"a":1}}"#, r#"{"geburts_name":"***"}"#);
        check(
            r#"{"date of birth":"x","birth":1}"#,
            r#"{"date of birth":"***","birth":"***"}"#,
        );
        check(
            r#"{"größe":1,"gr\u00f6ße":2,"éa":3}"#,
            r#"{"größe":"***","gr\u00f6ße":"***","éa":"***"}"#,
        );
        check(
            r#"{"cart":{"x":1},"cart":[2],"cart":"age: 4","cart" : 7,"k":"cart","b":1}"#,
            r#"{"cart":{"x":1},"cart":[2],"cart":"***","cart" : "***","k":"cart","b":1}"#,
        );
        let broken = |text: &str, expect: &str| {
            assert_eq!(shown(text.as_bytes(), 0..text.len(), 0, &sensitive), expect, "{text}");
        };
        broken("{date of birth: 1990, age: 47}", "{date of birth\"***\", age\"***\"}");
        assert!(may_hold_sensitive(b"my Age: 47", &sensitive));
        assert!(!may_hold_sensitive(b"47", &sensitive));
    }
}
