//! The file and the environment as one tree, each value with the place it was written.
//!
//! A variable `FEEDGATE__SECTION__KEY` sets the key as if it stood in the file, and wins over it. Items of a list go by
//! index: `FEEDGATE__SOURCE__0__URL` changes the first source, and where the file has none it adds one, so that a
//! container can be configured by its environment alone. An empty variable counts as not set: compose files pass those on
//! for what nobody filled in.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};
use super::table::TABLES;

/// What every variable that sets a key begins with.
const PREFIX: &str = "FEEDGATE__";

/// Deepest path that a variable may name; the deepest key there is needs three.
const SEGMENTS_MAX: usize = 8;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A float, a date, an integer beyond 64 bits: nothing that any key wants, kept as text for the message.
    Other(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table and what it is set to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// The value as it was written, shortened, for messages.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) => {
                let short: String = text.chars().take(60).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("`{short:?}{more}`")
            }
            Value::Integer(number) => format!("`{number}`"),
            Value::Boolean(truth) => format!("`{truth}`"),
            Value::Other(text) => format!("`{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// Whether it came from the environment, where everything is text.
    pub fn is_from_environment(&self) -> bool {
        matches!(self.place, Place::Variable(_))
    }
}

/// Reads a TOML text. Syntax errors are returned all at once.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            place: Place::Line(1),
            value: table_value(table.get_ref(), &lines),
        });
    }
    // The message alone: the parser would add the line itself, and that may hold what must not be printed.
    let problems = errors.iter().map(|error| {
        let line = error.span().map_or(1, |span| lines.number(span.start));
        Problem::new(
            Place::Line(line),
            format!("not TOML: {}", error.message().replace('\n', ", ")),
        )
    });
    Err(problems.collect())
}

/// Where each line of a text begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(memchr::memchr_iter(b'\n', text.as_bytes()).collect())
    }

    /// The number, from 1, of the line that holds the byte at `offset`.
    fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|&end| end < offset) + 1
    }
}

fn table_value(table: &DeTable<'_>, lines: &Lines) -> Value {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        place: Place::Line(lines.number(key.span().start)),
        node: node(value, lines),
    });
    Value::Table(entries.collect())
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let place = Place::Line(lines.number(value.span().start));
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Value::Other(number.as_str().to_owned()),
        DeValue::Datetime(moment) => Value::Other(moment.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(table) => table_value(table, lines),
    };
    Node { place, value }
}

/// Lays the environment's variables over the tree.
pub(super) fn overlay(root: &mut Node, environment: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut variables: Vec<(Vec<Segment>, &String, &String)> = environment
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .filter_map(|(name, text)| Some((segments(name)?, name, text)))
        .collect();
    // By index where there is one: item 10 is added after item 9, whatever the order of their letters.
    variables.sort();
    let mut problems = Vec::new();
    for (path, name, text) in variables {
        let result = match table_in(&path) {
            Some(key) => Err(format!(
                "`{key}` is a table, and its keys cannot be spelled in a variable's name: write it in the file"
            )),
            None => set(root, &path, name, text),
        };
        if let Err(message) = result {
            problems.push(Problem::new(Place::Variable(name.clone()), message));
        }
    }
    problems
}

/// Whether any variable sets a key.
pub(super) fn sets_anything(environment: &BTreeMap<String, String>) -> bool {
    environment
        .iter()
        .any(|(name, text)| name.starts_with(PREFIX) && !text.is_empty())
}

/// A part of a variable's name: an index, or a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(usize),
    Key(String),
}

fn segments(name: &str) -> Option<Vec<Segment>> {
    let path = name.strip_prefix(PREFIX)?.split("__").map(|part| match part.parse() {
        Ok(index) => Segment::Index(index),
        Err(_) => Segment::Key(part.to_lowercase()),
    });
    Some(path.collect())
}

/// The key on the way whose value is a table with keys of the operator's own: names of events or headers, which hold blanks,
/// capitals and hyphens, while a variable's name is put into small letters and has no room for the others.
fn table_in(path: &[Segment]) -> Option<&str> {
    match path {
        [Segment::Key(section), Segment::Index(_), Segment::Key(key), ..]
            if section == "destination" && TABLES.contains(&key.as_str()) =>
        {
            Some(key)
        }
        _ => None,
    }
}

fn set(node: &mut Node, path: &[Segment], variable: &str, text: &str) -> Result<(), String> {
    let place = Place::Variable(variable.to_owned());
    if path.len() > SEGMENTS_MAX {
        return Err("there is no key so deep".to_owned());
    }
    let Some((first, rest)) = path.split_first() else {
        *node = Node {
            place,
            value: Value::Text(text.to_owned()),
        };
        return Ok(());
    };
    // What is to hold the rest: made here, filled by the next round.
    let vacant = || Node {
        place: place.clone(),
        value: match rest.first() {
            Some(Segment::Index(_)) => Value::List(Vec::new()),
            _ => Value::Table(Vec::new()),
        },
    };
    match first {
        Segment::Key(key) => {
            let Value::Table(entries) = &mut node.value else {
                return Err(format!("what is set above `{key}` is no table"));
            };
            let known = entries.iter().position(|entry| entry.key == *key);
            let at = known.unwrap_or_else(|| {
                entries.push(Entry {
                    key: key.clone(),
                    place: place.clone(),
                    node: vacant(),
                });
                entries.len() - 1
            });
            if rest.is_empty() {
                entries[at].place = place.clone();
            }
            set(&mut entries[at].node, rest, variable, text)
        }
        Segment::Index(index) => {
            // A value that stands alone is a list of one, here as in the file.
            if !matches!(node.value, Value::List(_) | Value::Table(_)) {
                let alone = node.clone();
                node.value = Value::List(vec![alone]);
            }
            let Value::List(items) = &mut node.value else {
                return Err(format!("`{index}` is an index, but what is there is no list"));
            };
            if *index > items.len() {
                return Err(format!(
                    "there are {} before it: the next one has index {0}",
                    items.len()
                ));
            }
            if *index == items.len() {
                items.push(vacant());
            }
            set(&mut items[*index], rest, variable, text)
        }
    }
}

/// A single value as the file would have it.
#[cfg(test)]
pub(super) fn from_file(toml: &str) -> Node {
    let root = parse(&format!("key = {toml}")).unwrap();
    match root.value {
        Value::Table(mut entries) => entries.remove(0).node,
        _ => panic!("a file is a table"),
    }
}

/// A single value as the environment would have it.
#[cfg(test)]
pub(super) fn from_environment(text: &str) -> Node {
    Node {
        place: Place::Variable("X".to_owned()),
        value: Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(file: &str, variables: &[(&str, &str)]) -> (Node, Vec<Problem>) {
        let mut root = parse(file).unwrap();
        let environment = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let problems = overlay(&mut root, &environment);
        (root, problems)
    }

    /// A short form of a tree, places left out.
    fn brief(node: &Node) -> String {
        match &node.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Other(text) => text.clone(),
            Value::List(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
            Value::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| format!("{}={}", entry.key, brief(&entry.node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn variables_lie_over_the_file() {
        let check = |file: &str, variables: &[(&str, &str)], expect: &str| {
            let (root, problems) = tree(file, variables);
            assert_eq!(problems, [], "{file:?} with {variables:?}");
            assert_eq!(brief(&root), expect, "{file:?} with {variables:?}");
        };
        check("", &[("FEEDGATE__STATE_DIR", "/x")], r#"{state_dir="/x"}"#);
        check("a = 1", &[("FEEDGATE__A", "2")], r#"{a="2"}"#);
        check(
            "a = 1",
            &[("FEEDGATE__A", ""), ("FEEDGATE_A", "3"), ("A", "4")],
            "{a=1}",
        );
        check(
            "[limits]\nratio = 1",
            &[("FEEDGATE__LIMITS__DEPTH", "9")],
            r#"{limits={ratio=1, depth="9"}}"#,
        );
        check(
            "",
            &[("FEEDGATE__SOURCE__0__URL", "u"), ("FEEDGATE__SOURCE__0__NAME", "n")],
            r#"{source=[{name="n", url="u"}]}"#,
        );
        check(
            "[[source]]\nname = 'a'",
            &[("FEEDGATE__SOURCE__1__NAME", "b")],
            r#"{source=[{name="a"}, {name="b"}]}"#,
        );
        check(
            "[[source]]\nhost_key = 'a'",
            &[("FEEDGATE__SOURCE__0__HOST_KEY__1", "b")],
            r#"{source=[{host_key=["a", "b"]}]}"#,
        );
        check(
            "[[source]]\nhost_key = ['a', 'c']",
            &[("FEEDGATE__SOURCE__0__HOST_KEY", "b")],
            r#"{source=[{host_key="b"}]}"#,
        );
        // The eleventh comes after the third.
        let many: Vec<(String, String)> = (0..12).map(|n| (format!("FEEDGATE__L__{n}"), n.to_string())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (root, problems) = tree("", &many);
        assert_eq!(problems, []);
        assert!(brief(&root).ends_with(r#""9", "10", "11"]}"#), "{}", brief(&root));
    }

    #[test]
    fn variables_that_lead_nowhere_say_so() {
        let check = |file: &str, variable: &str, expect: &str| {
            let (_, problems) = tree(file, &[(variable, "x")]);
            assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expect]);
        };
        check(
            "",
            "FEEDGATE__SOURCE__1__URL",
            "FEEDGATE__SOURCE__1__URL: there are 0 before it: the next one has index 0",
        );
        check(
            "a = 1",
            "FEEDGATE__A__B",
            "FEEDGATE__A__B: what is set above `b` is no table",
        );
        check(
            "[a]",
            "FEEDGATE__A__0",
            "FEEDGATE__A__0: `0` is an index, but what is there is no list",
        );
        check(
            "",
            "FEEDGATE__A__B__C__D__E__F__G__H__I",
            "FEEDGATE__A__B__C__D__E__F__G__H__I: there is no key so deep",
        );
    }

    #[test]
    fn every_value_knows_its_line() {
        let (root, _) = tree("a = 1\n\n[b]\nc = 2\n[[d]]\n[[d]]\ne = [\n 1,\n 2]", &[]);
        let Value::Table(entries) = &root.value else { panic!() };
        let lines: Vec<&Place> = entries.iter().map(|entry| &entry.place).collect();
        assert_eq!(lines, [&Place::Line(1), &Place::Line(3), &Place::Line(5)]);
    }

    #[test]
    fn syntax_errors_come_with_their_lines_and_without_the_text() {
        let problems = parse("a = 1\nb = secret\nc = \"").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
        assert_eq!(problems[0].place, Place::Line(2));
        assert!(!format!("{problems:?}").contains("secret"), "{problems:?}");
    }
}
