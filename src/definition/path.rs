//! Where a field lies in an entry: `orderId`, `cart.total`, `cart.products[].sku`.

use std::fmt;

/// Most steps of a path: nothing sensible has more, and walks and pointers stay short.
const STEPS_MAX: usize = 16;

/// A path from the entry's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    steps: Vec<Step>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a member of an object.
    Key(String),
    /// Into each element of an array.
    Each,
}

impl Path {
    /// The key of this name at the root. The name may hold whatever it wants.
    pub(super) fn at_root(key: &str) -> Path {
        Path {
            steps: vec![Step::Key(key.to_owned())],
        }
    }

    /// The path of these steps.
    pub(super) fn of(steps: Vec<Step>) -> Path {
        Path { steps }
    }

    /// Reads a path: keys with points between them, and `[]` behind a key for each element of its array. Otherwise what is
    /// wrong with it.
    pub(super) fn parse(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let key = part.trim_end_matches("[]");
            if key.is_empty() {
                return Err("a key is missing in it".to_owned());
            }
            if key.contains(['[', ']']) {
                return Err("brackets stand behind a key, and empty: `products[]`".to_owned());
            }
            steps.push(Step::Key(key.to_owned()));
            steps.extend((0..(part.len() - key.len()) / 2).map(|_| Step::Each));
        }
        match steps.len() {
            0..=STEPS_MAX => Ok(Path { steps }),
            count => Err(format!("it has {count} steps; at most {STEPS_MAX} are allowed")),
        }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it leads into arrays: then there may be several values.
    pub fn is_plural(&self) -> bool {
        self.steps.contains(&Step::Each)
    }

    /// The last key on it: whose value it is.
    pub fn leaf(&self) -> &str {
        self.keys().last().unwrap_or_default()
    }

    /// The first key on it.
    pub fn root(&self) -> &str {
        self.keys().next().unwrap_or_default()
    }

    /// The keys on it.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Each => None,
        })
    }

    /// Its first steps, as a path is written.
    pub(super) fn up_to(&self, steps: usize) -> String {
        let mut text = String::new();
        for (at, step) in self.steps.iter().take(steps).enumerate() {
            match step {
                Step::Key(key) => {
                    text.push_str(if at == 0 { "" } else { "." });
                    text.push_str(key);
                }
                Step::Each => text.push_str("[]"),
            }
        }
        text
    }

    /// Whether the step behind so many leads into the elements of an array.
    pub(super) fn is_each(&self, steps: usize) -> bool {
        self.steps.get(steps) == Some(&Step::Each)
    }

    /// As a JSON Pointer (RFC 6901), of so many steps, with these indices in its arrays.
    pub(super) fn pointer(&self, steps: usize, indices: &[u64]) -> String {
        let mut pointer = String::new();
        let mut indices = indices.iter();
        for step in &self.steps[..steps.min(self.steps.len())] {
            match step {
                Step::Key(key) => push_key(&mut pointer, key),
                Step::Each => match indices.next() {
                    Some(index) => pointer.push_str(&format!("/{index}")),
                    None => break,
                },
            }
        }
        pointer
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.up_to(usize::MAX))
    }
}

/// Appends a key to a JSON Pointer.
pub(super) fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        let check = |text: &str, pointer: &str| {
            let path = Path::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(path.to_string(), text);
            assert_eq!(path.pointer(usize::MAX, &[1, 2]), pointer, "{text}");
        };
        check("orderId", "/orderId");
        check("cart.total", "/cart/total");
        check("cart.products[].sku", "/cart/products/1/sku");
        check("a[][].b", "/a/1/2/b");
        check("tags[]", "/tags/1");
        check("a b.c/d~e", "/a b/c~1d~0e");
    }

    #[test]
    fn what_is_no_path_says_why() {
        let check = |text: &str| assert!(Path::parse(text).is_err(), "{text}");
        for text in ["", ".", "a.", ".a", "a..b", "[]", "a[0]", "a[]b", "a[.b"] {
            check(text);
        }
        check(&"a.".repeat(40));
    }
}
