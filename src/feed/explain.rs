//! The words for what is wrong with a data file's syntax: what was found, what is wanted, and what to do about it.
//!
//! The slips of people who write JSON by hand, paste it from a web page or print it from another language are told apart
//! here. None of it decides anything: the place and the code are known before.

use super::excerpt::quoted;
use super::root::ARRAY_WANTED;
use super::scan::{Wanted, is_blank, skip_blanks, string};
use crate::hidden::is_hidden;

/// Why the byte at `at` cannot stand there. `lines`: where the token before it ends, and where it stands itself.
pub(super) fn syntax(text: &[u8], at: usize, wanted: Wanted, lines: Option<(u64, u64)>) -> String {
    let rest = &text[at..];
    match wanted {
        Wanted::StringEnd => return control_in_string(rest[0]),
        Wanted::Escape => return escape(rest),
        Wanted::HexDigit => {
            return format!(
                "found {} in an escape; after `\\u` four hexadecimal digits are wanted, and a backslash itself is written `\\\\`",
                found(rest)
            );
        }
        Wanted::Literal(word) => return literal(text, at, word),
        Wanted::Digit => return digit(text, at),
        _ => {}
    }
    if let Some(slip) = slip_anywhere(rest) {
        return slip;
    }
    let slip = match wanted {
        Wanted::CommaOrBrace | Wanted::CommaOrBracket => after_value(text, at, wanted, lines),
        Wanted::Name | Wanted::NameOrEnd => instead_of_name(text, at, wanted),
        Wanted::Colon => instead_of_colon(rest),
        _ => instead_of_value(text, at, wanted),
    };
    slip.unwrap_or_else(|| format!("found {}; {} is wanted", found(rest), name_of(wanted)))
}

/// Why the data cannot end where it does.
pub(super) fn cut_short(wanted: Wanted, entries: u64) -> String {
    let place = match wanted {
        Wanted::StringEnd | Wanted::Escape | Wanted::HexDigit => "inside a string",
        Wanted::Digit => "inside a number",
        Wanted::Literal(_) => "inside a word",
        Wanted::Name => "after a comma",
        Wanted::Colon => "after a name",
        _ => "here",
    };
    let whole = match entries {
        0 => "before the first entry was complete".to_owned(),
        1 => "after 1 complete entry".to_owned(),
        _ => format!("after {entries} complete entries"),
    };
    let wanted = name_of(wanted);
    format!(
        "the data ends {place}, {whole}; {wanted} is wanted, and `]` at the very end: the export was cut short, write it anew and upload it again"
    )
}

/// A byte that is not UTF-8.
pub(super) fn encoding(byte: u8) -> String {
    format!(
        "byte 0x{byte:02X} is not UTF-8 here: the file is damaged, or in another encoding such as ISO-8859-1 or Windows-1252; export it as UTF-8"
    )
}

/// Too many open containers.
pub(super) fn depth(depth_max: u32) -> String {
    format!(
        "more than {depth_max} arrays and objects are open here, one within the other; at most {depth_max} are allowed, the outermost array included"
    )
}

/// An entry over the limit.
pub(super) fn too_large(entry_bytes_max: u64) -> String {
    format!(
        "the entry that begins here is longer than the limit of {entry_bytes_max} bytes; split it, or look for a bracket or quotation mark that is missing in it"
    )
}

/// Something behind the array.
pub(super) fn trailing(rest: &[u8]) -> String {
    let found = found(rest);
    let advice = match rest[0] {
        b'[' => "several arrays in one file must be joined into one",
        b'{' | b',' => "every entry belongs inside the array's brackets",
        b']' | b'}' => "there is a closing bracket too many, here or further up",
        0 => "the file was padded with NUL bytes; cut them off",
        _ => "remove everything after it",
    };
    format!("found {found} after the array's closing `]`, where the file must end; {advice}")
}

/// Something in place of the whole array.
pub(super) fn not_json(rest: &[u8]) -> String {
    let what = match slip_anywhere(rest) {
        _ if rest[0] == b'<' => "found `<`: HTML or XML, not JSON".to_owned(),
        Some(slip) => slip,
        None => format!("found {}, with which no JSON begins", found(rest)),
    };
    format!("{what}; {ARRAY_WANTED}")
}

/// What stands at the beginning of `rest`.
fn found(rest: &[u8]) -> String {
    match char_at(rest) {
        None => "the end of the data".to_owned(),
        Some('\u{feff}') => "a byte-order mark (U+FEFF)".to_owned(),
        Some('\u{a0}') => "a no-break space (U+00A0)".to_owned(),
        Some(char) if is_hidden(char) || char.is_whitespace() => {
            format!("the invisible character U+{:04X}", u32::from(char))
        }
        Some(char) => format!("`{char}`"),
    }
}

/// The character that `rest` begins with.
fn char_at(rest: &[u8]) -> Option<char> {
    rest[..rest.len().min(4)].utf8_chunks().next()?.valid().chars().next()
}

/// What is wanted, as a noun.
fn name_of(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Value => "a value",
        Wanted::ValueOrEnd => "a value or `]`",
        Wanted::Name => "a name in double quotes",
        Wanted::NameOrEnd => "a name in double quotes or `}`",
        Wanted::Colon => "`:`",
        Wanted::CommaOrBrace => "`,` or `}`",
        Wanted::CommaOrBracket => "`,` or `]`",
        Wanted::Literal(word) => word,
        Wanted::Digit => "a digit",
        Wanted::StringEnd => "the closing `\"`",
        Wanted::Escape | Wanted::HexDigit => "the rest of an escape",
        Wanted::LessDepth => "less nesting",
    }
}

/// Slips that are wrong between any two tokens.
fn slip_anywhere(rest: &[u8]) -> Option<String> {
    let begins = |marks: &[&str]| marks.iter().any(|mark| rest.starts_with(mark.as_bytes()));
    let slip = if begins(&["//", "/*", "#", "<!--", "--"]) {
        "found a comment; JSON has none, remove it"
    } else if begins(&["'", "`"]) {
        "found a single quotation mark; JSON wants double ones (`\"`) around names and texts"
    } else if begins(&["“", "”", "„", "‟", "‘", "’", "«", "»", "″"]) {
        "found a typographic quotation mark, as word processors and web pages make them; JSON wants straight ones (`\"`)"
    } else if begins(&["\u{feff}"]) {
        "found a byte-order mark (U+FEFF) amid the data: files were joined; remove it"
    } else if char_at(rest).is_some_and(|char| char.is_whitespace() || is_hidden(char)) {
        return Some(format!(
            "found {}; only blanks, tabs and line breaks may stand between values",
            found(rest)
        ));
    } else {
        return None;
    };
    Some(slip.to_owned())
}

/// In place of the comma or bracket after a value.
fn after_value(text: &[u8], at: usize, wanted: Wanted, lines: Option<(u64, u64)>) -> Option<String> {
    let rest = &text[at..];
    let object = wanted == Wanted::CommaOrBrace;
    let before = at.checked_sub(1).map(|index| text[index]);
    Some(match rest[0] {
        b']' if object => "found `]` where an object is still open; close it with `}` first".to_owned(),
        b'}' => "found `}` where an array is still open; close it with `]` first".to_owned(),
        b':' if object => "found a second `:`; between two members a comma is wanted".to_owned(),
        b':' => "found `:` inside an array; names and values belong into an object, in braces".to_owned(),
        b';' => "found `;`; members and elements are separated by a comma".to_owned(),
        b'0'..=b'9' if before == Some(b'0') => "found a digit after `0`: a number must not begin with a zero; write it without, or in double quotes if the zero matters".to_owned(),
        b'-' | b'.' | b'/' if before.is_some_and(|byte| byte.is_ascii_digit()) => {
            format!("found {} after a number: dates, times and the like belong in double quotes", found(rest))
        }
        byte if byte.is_ascii_alphabetic() && before.is_some_and(|byte| byte.is_ascii_digit()) => {
            format!("found {} after a number: text belongs in double quotes, and JSON knows decimal numbers only", found(rest))
        }
        byte if before == Some(b'"') && !is_blank(byte) && (byte != b'"' || !is_name(rest)) => {
            format!("found {} after a text's closing quotation mark; a comma is wanted, or, if the mark is part of the text, write it as `\\\"`", found(rest))
        }
        b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => missing_comma(rest, object, lines),
        _ => return None,
    })
}

/// A value or member without a comma before it.
fn missing_comma(rest: &[u8], object: bool, lines: Option<(u64, u64)>) -> String {
    let next = match (object, rest[0]) {
        // A name may be shown. A value may not: it could be an e-mail address whose name is garbled.
        (true, b'"') if is_name(rest) => {
            let end = string(rest, 0).unwrap_or(1);
            format!("before `{}`", quoted(&rest[..end]))
        }
        (true, _) => "after a member".to_owned(),
        (false, b'{') => "between two objects".to_owned(),
        (false, _) => "between two values".to_owned(),
    };
    match lines {
        Some((before, here)) if before < here => {
            format!("a comma is missing {next}: put it at the end of line {before}")
        }
        _ => format!("a comma is missing {next}"),
    }
}

/// Whether a string with a colon after it stands here.
fn is_name(rest: &[u8]) -> bool {
    rest.first() == Some(&b'"') && string(rest, 0).is_ok_and(|end| rest.get(skip_blanks(rest, end)) == Some(&b':'))
}

/// In place of a name.
fn instead_of_name(text: &[u8], at: usize, wanted: Wanted) -> Option<String> {
    let rest = &text[at..];
    Some(match rest[0] {
        b'}' => "found `}` after a comma; remove the comma after the last member".to_owned(),
        b',' if wanted == Wanted::Name => "found two commas in a row; remove one, or write the member that is missing".to_owned(),
        b',' => "found a comma before the first member; remove it".to_owned(),
        b']' => "found `]` where an object is still open; close it with `}` first".to_owned(),
        byte if byte.is_ascii_digit() && text[..at].len() >= 2 && text[at - 1] == b',' && text[at - 2].is_ascii_digit() => {
            "found a digit after a comma: decimals are written with a point (`7.98`), and every other member begins with a name".to_owned()
        }
        b'{' | b'[' => format!("found {} in place of a name; every member of an object is written `\"name\": value`", found(rest)),
        byte if is_word(byte) => "found a name without quotation marks; names are written in double quotes".to_owned(),
        _ => return None,
    })
}

/// In place of the colon after a name.
fn instead_of_colon(rest: &[u8]) -> Option<String> {
    Some(match rest[0] {
        b'=' => "found `=` after a name; between name and value `:` is wanted".to_owned(),
        b',' | b'}' => format!(
            "found {} after a name that has no value; write `: value` after it",
            found(rest)
        ),
        b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' => {
            format!("found {} after a name; a `:` is missing before the value", found(rest))
        }
        byte if is_word(byte) => {
            format!(
                "found {} after a name; `:` is wanted, or, if a quotation mark is part of the text, write it as `\\\"`",
                found(rest)
            )
        }
        _ => return None,
    })
}

/// In place of a value.
fn instead_of_value(text: &[u8], at: usize, wanted: Wanted) -> Option<String> {
    let rest = &text[at..];
    let before = text[..at].iter().rev().copied().find(|&byte| !is_blank(byte));
    let in_array = before != Some(b':');
    let begins = |words: &[&str]| words.iter().any(|word| rest.starts_with(word.as_bytes()));
    Some(match rest[0] {
        b']' if before == Some(b',') => "found `]` after a comma; remove the comma after the last element".to_owned(),
        b',' if in_array && wanted == Wanted::ValueOrEnd => {
            "found a comma before the first element; remove it".to_owned()
        }
        b',' if in_array => "found two commas in a row; remove one, or write the element that is missing".to_owned(),
        b',' | b'}' if !in_array => {
            format!(
                "found {} where the value after `:` is missing; write it, or `null` if there is none",
                found(rest)
            )
        }
        b'}' => "found `}` where an array is still open; close it with `]` first".to_owned(),
        b'+' => "found `+`; positive numbers are written without a sign".to_owned(),
        b'.' => "found `.`; a number begins with a digit, write `0.5` and not `.5`".to_owned(),
        b'\\' => "found `\\` outside of a string: the text was escaped twice".to_owned(),
        b'<' => "found `<`: HTML or XML, not JSON".to_owned(),
        _ if begins(&["NaN", "nan", "Inf", "inf"]) => {
            "found a number that is none (NaN, Infinity); JSON has no such values, write `null`".to_owned()
        }
        _ if begins(&["undefined", "None", "NULL", "Null", "nil"]) => {
            "found another language's word for nothing; JSON writes `null`".to_owned()
        }
        _ if begins(&["True", "TRUE", "False", "FALSE"]) => {
            "found a capital letter; JSON writes `true` and `false`".to_owned()
        }
        byte if is_word(byte) => "found text without quotation marks; text is written in double quotes".to_owned(),
        _ => return None,
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@' | b'-') || byte >= 0x80
}

/// A control character, which a string must not hold as it is.
fn control_in_string(byte: u8) -> String {
    let (name, spelling) = match byte {
        b'\n' => ("a line break", "\\n".to_owned()),
        b'\r' => ("a carriage return", "\\r".to_owned()),
        b'\t' => ("a tab", "\\t".to_owned()),
        0 => ("a NUL byte", "\\u0000".to_owned()),
        _ => ("a control character", format!("\\u{byte:04x}")),
    };
    let advice = match byte {
        b'\n' | b'\r' => ", or close the string with `\"` if that is missing",
        _ => "",
    };
    format!("found {name} (U+{byte:04X}) inside a string; write it as `{spelling}`{advice}")
}

fn escape(rest: &[u8]) -> String {
    format!(
        "found {} after a backslash; a backslash itself is written `\\\\`, and the only escapes are `\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u`",
        found(rest)
    )
}

fn literal(text: &[u8], at: usize, word: &str) -> String {
    let is_before = |length: &usize| text[..at].ends_with(&word.as_bytes()[..*length]);
    let known = (0..word.len()).rev().find(is_before).unwrap_or(0);
    let rest = &text[at - known..];
    if rest.starts_with(b"nan") || rest.starts_with(b"nil") {
        return "found a word that JSON does not know; write `null`".to_owned();
    }
    format!(
        "found {} inside a word that should be `{word}`; text is written in double quotes",
        found(&text[at..])
    )
}

fn digit(text: &[u8], at: usize) -> String {
    let rest = &text[at..];
    if rest.starts_with(b"Inf") || rest.starts_with(b"inf") || rest.starts_with(b"NaN") {
        return "found a number that is none (NaN, Infinity); JSON has no such values, write `null`".to_owned();
    }
    let place = match at.checked_sub(1).map(|index| text[index]) {
        Some(b'.') => "after the decimal point",
        Some(b'-') => "after a minus sign",
        _ => "in the exponent",
    };
    format!("found {} {place} of a number; a digit is wanted", found(rest))
}
