//! What is hidden of ordered items: they are made of completed orders, and have no definition of their own unless somebody
//! writes one. What is sensitive in an order's head and products is so in an item, where it lies at the root.

use super::path::{Path, Step};
use super::tree::Node;
use super::{Definition, Field};

/// Where an order's products lie in it.
const PRODUCTS: [&str; 2] = ["cart", "products"];

/// What an item shows nobody, if its order is defined like this; `None`: it may all be shown.
pub(super) fn hiding(order: &Definition) -> Option<Definition> {
    let moved = |field: &Field| {
        let path = at_root(field.path.steps());
        field.sensitive.then(|| Field { path, ..field.clone() })
    };
    let fields: Vec<Field> = order.fields.iter().filter_map(moved).collect();
    // Paths that are in each other's way were so in the order.
    let tree = Node::of(fields.iter().map(|field| &field.path)).ok()?;
    (!fields.is_empty()).then(|| Definition {
        fields,
        tree,
        ..order.clone()
    })
}

/// A place in an order as a place in its items.
fn at_root(steps: &[Step]) -> Path {
    let is = |at: usize, name: &str| steps.get(at) == Some(&Step::Key(name.to_owned()));
    match steps {
        [_, _, Step::Each, Step::Key(id)] if is(0, PRODUCTS[0]) && is(1, PRODUCTS[1]) && id == "id" => {
            Path::at_root("productId")
        }
        [_, _, Step::Each, within @ ..] if is(0, PRODUCTS[0]) && is(1, PRODUCTS[1]) => Path::of(within.to_vec()),
        _ => Path::of(steps.to_vec()),
    }
}
