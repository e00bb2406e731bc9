//! The values of an entry, field by field, with all of those that lie in arrays.

use super::{Definition, tree};

impl Definition {
    /// The JSON texts of each field's values in an entry, in the order of the fields. Nothing and null are no values; a path
    /// into an array may lead to several.
    pub fn all_values<'e>(&self, entry: &'e str) -> Vec<Vec<&'e str>> {
        let mut values = vec![Vec::new(); self.fields.len()];
        if !entry.starts_with('{') {
            return values;
        }
        tree::walk(
            &self.tree,
            entry.as_bytes(),
            &mut tree::Scratch::default(),
            &mut |found, _| {
                if let tree::Found::Value(node, at) = found {
                    for &field in &node.fields {
                        values[field].push(&entry[at.clone()]);
                    }
                }
            },
        );
        values
    }
}
