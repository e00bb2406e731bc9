//! The paths of a definition as one tree, and the walk of an entry along it: down only where a path goes, each part of the
//! entry's text passed once on the way.

use std::ops::Range;

use super::json::{elements, is_named, members};
use super::path::{Path, Step};
use crate::feed::unescaped;

/// A place that paths lead to, or through.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub shape: Shape,
    /// The fields at or below it, by their index in the definition, in its order.
    pub fields: Vec<usize>,
    /// Steps from the root.
    pub depth: usize,
}

/// What an entry is to have there.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// The value of its fields.
    Value,
    /// An object, with these keys of interest.
    Object(Vec<(String, Node)>),
    /// An array, each element of which is to be this.
    Array(Box<Node>),
}

/// What a walk comes by. Places are in the entry's text.
#[derive(Debug)]
pub(super) enum Found<'t> {
    /// A value for the fields of this node, not null.
    Value(&'t Node, Range<usize>),
    /// Nothing, null or blank where this node would be, or an array without elements; within the container that begins there.
    Absent(&'t Node, usize),
    /// Something else than the object or the array that the paths go through.
    Misfit(&'t Node, Range<usize>),
}

impl Node {
    /// The tree of these paths, in the order of the fields; otherwise the two fields that are in each other's way.
    pub fn of<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<Node, (usize, usize)> {
        let mut root = Node {
            shape: Shape::Object(Vec::new()),
            fields: Vec::new(),
            depth: 0,
        };
        for (field, path) in paths.enumerate() {
            root.add(field, path.steps())?;
        }
        Ok(root)
    }

    fn add(&mut self, field: usize, steps: &[Step]) -> Result<(), (usize, usize)> {
        let is_new = self.fields.is_empty() && self.depth > 0;
        let (first, depth) = (self.fields.first().copied().unwrap_or_default(), self.depth);
        self.fields.push(field);
        let empty = || Node {
            shape: Shape::Value,
            fields: Vec::new(),
            depth: depth + 1,
        };
        if is_new {
            self.shape = match steps.first() {
                None => Shape::Value,
                Some(Step::Key(_)) => Shape::Object(Vec::new()),
                Some(Step::Each) => Shape::Array(Box::new(empty())),
            };
        }
        match (&mut self.shape, steps) {
            (Shape::Value, []) => Ok(()),
            (Shape::Object(keys), [Step::Key(key), rest @ ..]) => {
                let at = keys.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                    keys.push((key.clone(), empty()));
                    keys.len() - 1
                });
                keys[at].1.add(field, rest)
            }
            (Shape::Array(each), [Step::Each, rest @ ..]) => each.add(field, rest),
            _ => Err((first, field)),
        }
    }
}

/// What a walk needs besides, kept from one to the next so that it need not be made anew.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Of the objects that are being looked at: where the value of each key of interest lies.
    values: Vec<Option<Range<usize>>>,
    /// The index in each array that is being looked at.
    indices: Vec<u64>,
}

/// Walks an entry, the text of a valid JSON value that begins at its first byte. Of a key that is there twice, the last
/// counts. `found` is given the indices in the arrays on the way.
pub(super) fn walk<'t>(tree: &'t Node, entry: &[u8], scratch: &mut Scratch, found: &mut impl FnMut(Found<'t>, &[u64])) {
    scratch.values.clear();
    scratch.indices.clear();
    step(tree, entry, 0..entry.len(), scratch, found);
}

fn step<'t>(
    node: &'t Node,
    text: &[u8],
    value: Range<usize>,
    scratch: &mut Scratch,
    found: &mut impl FnMut(Found<'t>, &[u64]),
) {
    match (text[value.start], &node.shape) {
        (b'n', _) => found(Found::Absent(node, value.start), &scratch.indices),
        (_, Shape::Value) => found(Found::Value(node, value), &scratch.indices),
        (b'{', Shape::Object(keys)) => {
            let base = scratch.values.len();
            scratch.values.resize(base + keys.len(), None);
            for member in members(text, value.start) {
                let name = &text[member.name];
                if let Some(at) = keys.iter().position(|(key, _)| is_named(name, key)) {
                    scratch.values[base + at] = Some(member.value);
                }
            }
            for (at, (_, node)) in keys.iter().enumerate() {
                match scratch.values[base + at].take() {
                    Some(value) => step(node, text, value, scratch, found),
                    None => found(Found::Absent(node, value.start), &scratch.indices),
                }
            }
            scratch.values.truncate(base);
        }
        (b'[', Shape::Array(each)) => {
            let mut count = 0;
            for element in elements(text, value.start) {
                scratch.indices.push(count);
                step(each, text, element, scratch, found);
                scratch.indices.pop();
                count += 1;
            }
            if count == 0 {
                found(Found::Absent(node, value.start), &scratch.indices);
            }
        }
        (b'"', _) if is_blank(&text[value.clone()]) => found(Found::Absent(node, value.start), &scratch.indices),
        _ => found(Found::Misfit(node, value), &scratch.indices),
    }
}

/// Calls `found` for every value on these paths, also for those that do not count since their key is there again, and for
/// whatever else stands where a path goes through: for who must hide them all.
pub(super) fn every(node: &Node, text: &[u8], value: Range<usize>, found: &mut impl FnMut(&Node, Range<usize>)) {
    match (text[value.start], &node.shape) {
        (b'{', Shape::Object(keys)) => {
            for member in members(text, value.start) {
                let name = &text[member.name];
                if let Some((_, node)) = keys.iter().find(|(key, _)| is_named(name, key)) {
                    every(node, text, member.value, found);
                }
            }
        }
        (b'[', Shape::Array(each)) => {
            for element in elements(text, value.start) {
                every(each, text, element, found);
            }
        }
        _ => found(node, value),
    }
}

/// Whether a string, with its quotation marks, holds nothing but white space.
pub(super) fn is_blank(string: &[u8]) -> bool {
    let inner = &string[1..string.len().max(2) - 1];
    match inner.first() {
        None => true,
        Some(first) if first.is_ascii_graphic() && *first != b'\\' => false,
        Some(_) => {
            let bytes: Vec<u8> = unescaped(inner).collect();
            std::str::from_utf8(&bytes).is_ok_and(|text| text.chars().all(char::is_whitespace))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Result<Node, (usize, usize)> {
        let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).expect("a path")).collect();
        Node::of(paths.iter())
    }

    fn check(paths: &[&str], entry: &str, expect: &str) {
        let tree = tree(paths).expect("a tree");
        let mut found = Vec::new();
        let mut scratch = Scratch::default();
        walk(&tree, entry.as_bytes(), &mut scratch, &mut |what, indices| {
            found.push(match what {
                Found::Value(node, at) => format!("{:?}{indices:?}={}", node.fields, &entry[at]),
                Found::Absent(node, at) => format!("{:?}{indices:?}-@{at}", node.fields),
                Found::Misfit(node, at) => format!("{:?}{indices:?}!{}", node.fields, &entry[at]),
            });
        });
        assert_eq!(found.join(" "), expect, "{entry}");
    }

    #[test]
    fn values_are_found_where_the_paths_lead() {
        check(&["a", "b"], r#"{"b":2,"x":{"a":3},"a":1}"#, "[0][]=1 [1][]=2");
        check(&["a.b", "a.c"], r#"{"a":{"c":{},"b":[1]}}"#, "[0][]=[1] [1][]={}");
        check(
            &["p[].s", "p[].t"],
            r#"{"p":[{"s":1},{"t":2}]}"#,
            "[0][0]=1 [1][0]-@6 [0][1]-@14 [1][1]=2",
        );
        check(&["t[]"], r#"{"t":["x",null]}"#, "[0][0]=\"x\" [0][1]-@10");
        check(&["a", "a"], r#"{"a":1}"#, "[0, 1][]=1");
    }

    #[test]
    fn nothing_null_and_an_array_without_elements_are_absent() {
        check(&["a", "b.c"], "{}", "[0][]-@0 [1][]-@0");
        check(&["a", "b.c"], r#"{"a":null,"b":null}"#, "[0][]-@5 [1][]-@14");
        check(&["p[].s"], r#"{"p":[]}"#, "[0][]-@5");
        check(&["b.c"], r#"{"b":" "}"#, "[0][]-@5");
        check(&["b.c"], r#"{"b":7}"#, "[0][]!7");
        check(&["b[]"], r#"{"b":{}}"#, "[0][]!{}");
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts() {
        check(&["a.b"], r#"{"a":{"b":1},"\u0061":{"b":2,"b":3}}"#, "[0][]=3");
        let tree = tree(&["a.b"]).unwrap();
        let text = r#"{"a":{"b":1},"a":[],"a":{"b":2,"b":3}}"#;
        let mut all = Vec::new();
        every(&tree, text.as_bytes(), 0..text.len(), &mut |_, at| all.push(&text[at]));
        assert_eq!(all, ["1", "[]", "2", "3"]);
    }

    #[test]
    fn fields_can_be_in_each_others_way() {
        let check = |paths: &[&str], expect| assert_eq!(tree(paths).err(), expect, "{paths:?}");
        check(&["x", "a", "a.b"], Some((1, 2)));
        check(&["a.b", "a"], Some((0, 1)));
        check(&["a[]", "a.b"], Some((0, 1)));
        check(&["a[].b", "a[].c", "a[].b"], None);
    }
}
