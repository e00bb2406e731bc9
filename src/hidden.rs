//! Characters that are not seen and change what is: in a log line, a receipt or a terminal, a name with one of them can look
//! like another name, or like two lines. Whoever shows somebody else's text escapes them, each room in its own way of writing.

/// Controls (C0, DEL, C1); line and paragraph separators; the marks that turn the direction of writing, the Arabic one
/// included; what has no width; annotations, and the tags that spell a second text under the first.
pub(crate) fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text with every such character escaped, as Rust has it.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_hidden(letter) {
            true => escaped.extend(letter.escape_default()),
            false => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_and_changes_what_is() {
        let check = |letter: char, expect: bool| assert_eq!(is_hidden(letter), expect, "{letter:?}");
        for hidden in
            "\0\n\x1b\x7f\u{85}\u{9b}\u{61c}\u{200b}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff}\u{fffa}\u{e0041}".chars()
        {
            check(hidden, true);
        }
        for seen in " aüß€😀א؟中".chars() {
            check(seen, false);
        }
    }
}
