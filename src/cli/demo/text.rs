//! Breaking lines and quoting, for the demo's page.

/// Longest line of prose, in characters, less its indentation.
const LINE_CHARS: usize = 112;

/// An indented paragraph; its second line and the following ones stand a little further in.
pub(super) fn point(text: &str) -> String {
    format!("  {}\n", wrapped(text).join("\n      "))
}

/// Lines of at most [`LINE_CHARS`], broken at blanks; a longer word has a line of its own.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE_CHARS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A word for a shell, in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_where_they_may() {
        let check = |text: &str, expect: &[String]| assert_eq!(wrapped(text), expect, "{text:?}");
        let (half, whole) = ("ä".repeat(LINE_CHARS / 2), "ä".repeat(LINE_CHARS));
        check("", &[String::new()]);
        check("one two", &["one two".to_owned()]);
        check(&format!("{half} a"), &[format!("{half} a")]);
        check(&format!("{whole} a"), &[whole.clone(), "a".to_owned()]);
        check(
            &format!("{whole}{whole} a"),
            &[format!("{whole}{whole}"), "a".to_owned()],
        );
        check(&format!("{half} {half}"), &[half.clone(), half.clone()]);
        assert_eq!(point(&format!("{half} {half}")), format!("  {half}\n      {half}\n"));
    }

    #[test]
    fn a_path_is_safe_in_a_shell() {
        assert_eq!(quoted("/tmp/feedgate-demo-1"), "/tmp/feedgate-demo-1");
        assert_eq!(quoted("/tmp/my demo's"), "'/tmp/my demo'\\''s'");
        assert_eq!(quoted("/tmp/$(x)"), "'/tmp/$(x)'");
        assert_eq!(quoted("~"), "'~'");
    }
}
