//! Tables whose keys are the operator's own: names of events, fields, headers, statuses.
//!
//! A [`Table`] is written inline (`rename = { "A b" = "c" }`) or under a header of its own (`[destination.rename]`); both are
//! the same to TOML. Everything wrong in one is told at once, each with its line, and what is in it is only shown where it
//! cannot be a secret.

use super::form::{Strings, text};
use super::problem::Problem;
use super::section::{Form, Scalar, Written};
use super::tree::{Node, Value};

/// Every key of a destination whose value is a [`Table`].
pub(super) const TABLES: [&str; 9] = [
    "rename",
    "headers",
    "header_files",
    "statuses",
    "fields",
    "profile",
    "tags",
    "set_fields",
    "org_resolver",
];

/// Longest name of an event, as the feed has it; and of a field or a tag.
const NAME_CHARS_MAX: usize = 255;

/// Longest part of a key that a message shows.
const SHOWN_CHARS_MAX: usize = 60;

/// Keys and their values, in the order written. Each value comes with the line of its key.
#[derive(Debug, Clone)]
pub struct Table<K, V>(pub Vec<(K, Written<V>)>);

impl<K, V> Table<K, V> {
    /// The rows, without their places, each made into something else.
    pub(super) fn map<T>(&self, mut row: impl FnMut(&K, &V) -> T) -> Vec<T> {
        self.0.iter().map(|(key, value)| row(key, &value.value)).collect()
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table(Vec::new())
    }
}

/// What the keys of a table may be.
pub(super) trait Key: Sized {
    /// Takes a key; `Err` says what is wanted.
    fn read(key: &str) -> Result<Self, String>;

    /// Whether a message may show what was written.
    const MAY_BE_SHOWN: bool = true;
}

impl<K: Key, V: Form> Form for Table<K, V> {
    fn take(key: &str, node: &Node, problems: &mut Vec<Problem>) -> Option<Table<K, V>> {
        let Value::Table(entries) = &node.value else {
            let message = format!("`{key}`: a table is wanted, `{key} = {{ … = … }}`");
            problems.push(Problem::new(node.place.clone(), message));
            return None;
        };
        let mut rows = Vec::new();
        for entry in entries {
            let own_key = match K::read(&entry.key) {
                Ok(own_key) => own_key,
                Err(wanted) => {
                    let message = if K::MAY_BE_SHOWN {
                        format!("`{}`: {wanted}", below(key, &entry.key))
                    } else {
                        format!("a key of `{key}`: {wanted}")
                    };
                    problems.push(Problem::new(entry.place.clone(), message));
                    continue;
                }
            };
            if let Some(value) = V::take(&below(key, &entry.key), &entry.node, problems) {
                let place = entry.place.clone();
                rows.push((own_key, Written { value, place }));
            }
        }
        Some(Table(rows))
    }
}

/// The way to a key of a table, as TOML spells it, shortened for messages.
fn below(table: &str, key: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !key.is_empty() && key.len() <= SHOWN_CHARS_MAX && key.chars().all(is_bare) {
        return format!("{table}.{key}");
    }
    let short: String = key.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if short.len() < key.len() { "…" } else { "" };
    format!("{table}.{short:?}{more}")
}

/// A name as the far end knows it or as the feed gives it: of an event, a field, a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(pub String);

impl Label {
    fn new(name: &str) -> Result<Label, String> {
        let is_fine = !name.is_empty()
            && name.trim() == name
            && name.chars().count() <= NAME_CHARS_MAX
            && !name.contains(char::is_control);
        if is_fine {
            return Ok(Label(name.to_owned()));
        }
        Err(format!(
            "a name is wanted, not blank, without control characters, at most {NAME_CHARS_MAX} characters"
        ))
    }
}

impl Key for Label {
    fn read(key: &str) -> Result<Label, String> {
        Label::new(key)
    }
}

impl Scalar for Label {
    fn read(node: &Node) -> Result<Label, String> {
        match &node.value {
            // A feed may call an event so; nobody wants to.
            Value::Text(text) if !text.trim().is_empty() && text.trim() != text => {
                Err("a name without blanks around it is wanted".to_owned())
            }
            Value::Text(text) => Label::new(text),
            _ => Err("a text in quotes is wanted".to_owned()),
        }
    }
}

/// A place in an entry: a key of its own, or a JSON Pointer into what is nested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace(pub String);

impl EntryPlace {
    fn new(place: &str) -> Result<EntryPlace, String> {
        if place.is_empty() {
            return Err("a key of the entry is wanted, or a JSON Pointer such as \"/cart/currency\"".to_owned());
        }
        // Only a pointer has escapes: `~0` is `~`, `~1` is `/`.
        let mut escapes = place.split('~').skip(1);
        if place.starts_with('/') && !escapes.all(|after| after.starts_with(['0', '1'])) {
            return Err("in a JSON Pointer `~` is written `~0`, and `/` in a key `~1`".to_owned());
        }
        Ok(EntryPlace(place.to_owned()))
    }
}

impl Key for EntryPlace {
    fn read(key: &str) -> Result<EntryPlace, String> {
        EntryPlace::new(key)
    }
}

impl Scalar for EntryPlace {
    fn read(node: &Node) -> Result<EntryPlace, String> {
        EntryPlace::new(&text(node)?)
    }
}

/// One tag, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

impl Scalar for Tags {
    fn read(node: &Node) -> Result<Tags, String> {
        let Strings(tags) = Strings::read(node)?;
        if tags.is_empty() {
            return Err("a tag, or a list of tags, is wanted".to_owned());
        }
        // Bento takes several tags in one text, with commas between them.
        if tags.iter().any(|tag| tag.contains(',')) {
            return Err("a tag holds no comma; several are a list, `[\"a\", \"b\"]`".to_owned());
        }
        for tag in &tags {
            Label::new(tag)?;
        }
        Ok(Tags(tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Destination;
    use crate::config::problem::Place;
    use crate::config::section::Section;
    use crate::config::tree::{Entry, from_file};

    fn taken<K: Key, V: Form>(toml: &str) -> (Option<Table<K, V>>, Vec<String>) {
        let mut problems = Vec::new();
        let table = Table::take("key", &from_file(toml), &mut problems);
        (table, problems.iter().map(ToString::to_string).collect())
    }

    /// One that is missing from the list could be set by a variable, with its keys in small letters.
    #[test]
    fn every_table_is_in_the_list() {
        let takes_a_table = |key: &&str| {
            let place = Place::Line(1);
            let entry = Entry {
                key: (*key).to_owned(),
                place: place.clone(),
                node: from_file("{}"),
            };
            let mut problems = Vec::new();
            Destination::from_entries(&place, &[entry], &mut problems);
            problems.is_empty()
        };
        let mut found: Vec<&str> = Destination::keys().filter(takes_a_table).collect();
        let mut listed = TABLES.to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn both_ways_of_writing_are_one() {
        let (table, problems) = taken::<Label, Label>("{ \"A b\" = 'c', d = \"e\" }");
        assert_eq!(problems, [""; 0]);
        let rows: Vec<(Label, Label)> = table
            .unwrap()
            .0
            .into_iter()
            .map(|(key, row)| (key, row.value))
            .collect();
        let label = |text: &str| Label(text.to_owned());
        assert_eq!(rows, [(label("A b"), label("c")), (label("d"), label("e"))]);
    }

    #[test]
    fn everything_wrong_in_a_table_is_told() {
        let (_, problems) = taken::<Label, Label>("{ '' = 'x', \"A b\" = '', c = 1, 'd\u{e4}' = ['x'] }");
        let wanted = "a name is wanted, not blank, without control characters, at most 255 characters";
        assert_eq!(
            problems,
            [
                format!("line 1: `key.\"\"`: {wanted}"),
                format!("line 1: `key.\"A b\"` is `\"\"`: {wanted}"),
                "line 1: `key.c` is `1`: a text in quotes is wanted".to_owned(),
                "line 1: `key.\"d\u{e4}\"` is a list: a text in quotes is wanted".to_owned(),
            ]
        );
        let (table, problems) = taken::<Label, Label>("'hunter2'");
        assert!(table.is_none());
        assert_eq!(problems, ["line 1: `key`: a table is wanted, `key = { … = … }`"]);
        let (_, problems) = taken::<Label, Table<Label, EntryPlace>>("{ a = { b = '' }, c = 1 }");
        assert_eq!(
            problems,
            [
                "line 1: `key.a.b` is `\"\"`: it is empty; leave the key out instead",
                "line 1: `key.c`: a table is wanted, `key.c = { … = … }`",
            ]
        );
    }

    #[test]
    fn a_long_key_is_shortened_in_messages() {
        let (_, problems) = taken::<Label, Label>(&format!("{{ {} = 'x' }}", "a".repeat(300)));
        assert!(
            problems[0].starts_with(&format!("line 1: `key.\"{}\"…`: ", "a".repeat(60))),
            "{problems:?}"
        );
    }

    #[test]
    fn labels() {
        let check = |text: &str, expect: bool| assert_eq!(Label::new(text).is_ok(), expect, "{text:?}");
        check("$purchase", true);
        check("käse", true);
        check(&"ä".repeat(255), true);
        check(&"a".repeat(256), false);
        check(" ", false);
        check("", false);
        check("a\nb", false);
    }

    #[test]
    fn places_in_the_entry() {
        let check = |text: &str, expect: bool| assert_eq!(EntryPlace::new(text).is_ok(), expect, "{text:?}");
        check("firstName", true);
        check("a~b", true);
        check("/cart/currency", true);
        check("/a~0b/~1", true);
        check("/", true);
        check("/a~", false);
        check("/a~2", false);
        check("/~~0", false);
        check("", false);
    }

    #[test]
    fn tags() {
        let check = |toml: &str, expect: Option<&[&str]>| {
            let found = Tags::read(&from_file(toml)).ok().map(|tags| tags.0);
            let expect: Option<Vec<String>> = expect.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
            assert_eq!(found, expect, "{toml}");
        };
        check("'customer'", Some(&["customer"]));
        check("['a', 'b c']", Some(&["a", "b c"]));
        check("'a,b'", None);
        check("['a', 'b,']", None);
        check("[]", None);
        check("['']", None);
        check("5", None);
        check(&format!("'{}'", "a".repeat(256)), None);
    }
}
