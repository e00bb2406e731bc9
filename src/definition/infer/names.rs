//! What events and fields are called in a draft: as the vendor wants names, and near to what the feed calls them.

/// Longest name of a field, in characters, as the vendor has it.
const CHARS_MAX: usize = 50;

/// A name of letters, digits and single underscores, that begins with a letter and is none of `taken`.
///
/// A text that is such a name already stays as it is; of others the words are put together, `Completed Order` as
/// `completedOrder`. Letters beyond ASCII are left out.
pub(super) fn name_of(text: &str, otherwise: &str, taken: &[String]) -> String {
    let mut name = match is_name(text) {
        true => text.to_owned(),
        false => camel_case(text),
    };
    name.truncate(CHARS_MAX);
    let name = name.trim_end_matches('_');
    let name = match name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false if name.is_empty() => otherwise.to_owned(),
        false => format!("{otherwise}{name}").chars().take(CHARS_MAX).collect(),
    };
    let is_free = |name: &str| !taken.iter().any(|other| other.eq_ignore_ascii_case(name));
    if is_free(&name) {
        return name;
    }
    let numbered = (2_u64..).map(|number| {
        let number = number.to_string();
        let room = CHARS_MAX - number.len();
        format!("{}{number}", &name[..name.len().min(room)])
    });
    numbered.into_iter().find(|name| is_free(name)).unwrap_or(name)
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.ends_with('_')
        && !text.contains("__")
        && text.bytes().all(is_plain)
}

fn camel_case(text: &str) -> String {
    let mut name = String::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        let mut letters = word.chars().filter(char::is_ascii);
        let Some(first) = letters.next() else { continue };
        name.push(match name.is_empty() {
            true => first.to_ascii_lowercase(),
            false => first.to_ascii_uppercase(),
        });
        name.extend(letters);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |text: &str, expect: &str| assert_eq!(name_of(text, "field", &[]), expect, "{text}");
        check("Completed Order", "completedOrder");
        check("orderId", "orderId");
        check("booking_id", "booking_id");
        check("cart.products[].sku", "cartProductsSku");
        check("Größe geändert", "greGendert");
        check("a__b", "aB");
        check("_a", "a");
        check("2nd price", "field2ndPrice");
        check("日本", "field");
        check("!", "field");
        check(&"x".repeat(60), &"x".repeat(50));
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut taken = Vec::new();
        for text in ["a b", "aB", "ab", "AB"] {
            let name = name_of(text, "field", &taken);
            taken.push(name);
        }
        assert_eq!(taken, ["aB", "aB2", "ab3", "AB4"]);
        let long = "x".repeat(50);
        let name = name_of(&long, "field", std::slice::from_ref(&long));
        assert_eq!(name, format!("{}2", "x".repeat(49)));
    }
}
