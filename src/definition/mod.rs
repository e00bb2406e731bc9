//! Event definitions: what an event of a name must look like.
//!
//! They are written in the form of the vendor's create-event call, with one key of ours, `feed`, which says what the event
//! and its fields are called in feeds. A set of them is read once ([`Definitions::parse`], all that is wrong told at once),
//! compiled into a tree of keys for each, and entries are held against it by a [`Holder`].
//!
//! | in reading order | |
//! |---|---|
//! | `form`, `attributes`, `twins` | the files, and what they must not say |
//! | `reader`, `problem` | values with their places; what is wrong, and where |
//! | `kind`, `path` | the vendor's words; where a field lies in an entry |
//! | `tree`, `json` | the paths of a definition as one tree; an entry's text, passed along it |
//! | `hold`, `value`, `date` | an entry against its definition: what breaks it, and the parts of its unique key |
//! | `words` | the same in sentences, with pointers and places |
//! | `canonical` | a set as text, for the ledger and for the vendor |
//! | `example` | an entry made up after a definition |
//! | `values`, `infer` | the values of an entry; a draft of definitions from a sample |
//!
//! Text in, values out: this room knows `feed`, and has not heard of zip, SFTP, SQL, configuration or the clock.

mod attributes;
mod canonical;
mod date;
mod example;
mod form;
mod hold;
pub mod infer;
mod json;
mod kind;
mod path;
mod problem;
mod reader;
mod tree;
mod twins;
mod value;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::feed::Sensitive;

pub use hold::{Held, Holder, UnknownEvents};
pub use kind::{FieldType, IdentifierType};
pub use path::Path;
pub use problem::Problem;
pub use value::Pattern;

/// The actions that the vendor knows: loyalty and messages; insights.
pub const VENDOR_ACTIONS: [&str; 2] = ["EMFConsumer", "EIConsumer"];

/// Most fields of a definition, as the vendor has it.
pub const FIELDS_MAX: usize = 20;

/// Most events that the vendor keeps active at a time.
pub const ACTIVE_MAX: usize = 10;

/// What stands in place of a sensitive value where people look.
pub const MASKED: &str = "\"***\"";

/// A file of definitions, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionFile {
    /// As it is to be named in problems.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// A set of definitions, in the order of their names.
#[derive(Debug, Clone)]
pub struct Definitions {
    all: Vec<Definition>,
    /// The names in feeds that definitions name themselves.
    by_feed_event: HashMap<String, usize>,
    sensitive: Sensitive,
    warnings: Vec<Problem>,
    canonical: String,
    hash: String,
}

/// What an event of a name must look like.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The event's name, as the vendor knows it.
    pub event_name: String,
    /// Where it is for: the vendor's consumers, and what destinations list under `actions`.
    pub actions: Vec<String>,
    /// In words.
    pub description: Option<String>,
    /// In the order written.
    pub fields: Vec<Field>,
    /// What it is called in feeds; if empty, whatever has the letters and digits of its name.
    pub feed_events: Vec<String>,
    /// The file that it was read from, for messages.
    pub file: String,
    tree: tree::Node,
}

/// A field of an event.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name, as the vendor knows it.
    pub name: String,
    /// What it holds.
    pub kind: FieldType,
    /// Whether an entry must have it.
    pub required: bool,
    /// Whether it is part of the event's unique key.
    pub unique: bool,
    /// Whether people may not see it.
    pub sensitive: bool,
    /// For a customer: by what.
    pub identifier: Option<IdentifierType>,
    /// For a customer: whether one who is not known is to be added.
    pub add_customer: bool,
    /// What the whole value must match.
    pub regex: Option<Pattern>,
    /// If there are any, the value is one of them.
    pub possible_values: Vec<String>,
    /// What the vendor has besides (`source`, `accountId`): kept, and looked at by nobody here.
    pub others: Vec<(String, serde_json::Value)>,
    /// Where it lies in an entry.
    pub path: Path,
}

impl Field {
    /// Where it would lie if nobody had said.
    pub(crate) fn default_path(&self) -> Path {
        match (self.kind, self.identifier) {
            (FieldType::Customer, Some(identifier)) => Path::at_root(identifier.key()),
            (FieldType::Customer, None) => Path::at_root(IdentifierType::ExternalId.key()),
            _ => Path::at_root(&self.name),
        }
    }
}

impl Definitions {
    /// Reads definitions: each file holds one, or an array of them. `known_actions` are those that destinations list, besides
    /// the vendor's. Otherwise everything that is wrong, in the order of the files.
    pub fn parse(files: &[DefinitionFile], known_actions: &[String]) -> Result<Definitions, Vec<Problem>> {
        Definitions::read(files, Some(known_actions))
    }

    /// Reads what [`Definitions::canonical`] gave. Actions are not looked at: what was in force then need not be known now.
    pub fn frozen(canonical: &str) -> Result<Definitions, Vec<Problem>> {
        let file = DefinitionFile {
            name: "the ledger's definitions".to_owned(),
            text: canonical.to_owned(),
        };
        Definitions::read(&[file], None)
    }

    fn read(files: &[DefinitionFile], known_actions: Option<&[String]>) -> Result<Definitions, Vec<Problem>> {
        let read = form::read(files, known_actions);
        if !read.problems.is_empty() {
            return Err(read.problems);
        }
        let mut all = read.definitions;
        all.sort_by(|one, other| one.event_name.cmp(&other.event_name));
        let canonical = canonical::text(&all);
        let named = |(at, definition): (usize, &Definition)| {
            let names = definition.feed_events.clone();
            names.into_iter().map(move |name| (name, at))
        };
        let hidden = || {
            let fields = all.iter().flat_map(|definition| &definition.fields);
            // By whatever a customer is known, it is shown no more than an e-mail address or an id.
            let is_hidden = |field: &&Field| field.sensitive || field.kind == FieldType::Customer;
            fields.filter(is_hidden).map(|field| &field.path)
        };
        let around = hidden().flat_map(|path| path.keys().filter(move |key| *key != path.leaf()));
        Ok(Definitions {
            by_feed_event: all.iter().enumerate().flat_map(named).collect(),
            sensitive: Sensitive::of(hidden().map(Path::leaf), around),
            warnings: read.warnings,
            hash: canonical::hash(&canonical),
            canonical,
            all,
        })
    }

    /// The definition of an event, by its name as a feed gives it.
    pub fn of(&self, event: &str) -> Option<&Definition> {
        self.index_of(event).map(|at| &self.all[at])
    }

    fn index_of(&self, event: &str) -> Option<usize> {
        if let Some(&at) = self.by_feed_event.get(event) {
            return Some(at);
        }
        self.all.iter().position(|definition| {
            definition.feed_events.is_empty() && kind::same_letters(&definition.event_name, event)
        })
    }

    /// The definition of this name, as the vendor knows it.
    pub fn named(&self, event_name: &str) -> Option<&Definition> {
        self.all.iter().find(|definition| definition.event_name == event_name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.all.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The names in entries whose values nobody may see: the last keys of the paths of all sensitive fields, and of customers.
    pub fn sensitive(&self) -> &Sensitive {
        &self.sensitive
    }

    /// What is odd about them, and no reason to refuse them.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Whether any event is to be held against those of the past.
    pub fn have_unique_keys(&self) -> bool {
        self.all.iter().any(Definition::has_unique_key)
    }

    /// All of it as one text, a JSON array in the order of the names: what the ledger freezes. The same definitions give the
    /// same text, however they were written.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// SHA-256 of that text, in hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl PartialEq for Definitions {
    fn eq(&self, other: &Definitions) -> bool {
        self.canonical == other.canonical && self.warnings == other.warnings
    }
}

impl Definition {
    /// Whether its events are told apart by a unique key.
    pub fn has_unique_key(&self) -> bool {
        self.fields.iter().any(|field| field.unique)
    }

    /// The field that says whose event it is: the first customer.
    pub fn customer(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == FieldType::Customer)
    }

    /// Whether a feed's event of this name is its.
    pub fn is_called(&self, event: &str) -> bool {
        match self.feed_events.is_empty() {
            true => kind::same_letters(&self.event_name, event),
            false => self.feed_events.iter().any(|name| name == event),
        }
    }

    /// The JSON text of each field's value in an entry, in the order of the fields; `None` where it is absent, null, or not
    /// where the path leads. Of several in an array, the first.
    pub fn values<'e>(&self, entry: &'e str) -> Vec<Option<&'e str>> {
        let mut values = vec![None; self.fields.len()];
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
                        values[field].get_or_insert(&entry[at.clone()]);
                    }
                }
            },
        );
        values
    }

    /// The values of an entry's sensitive fields, as text.
    pub fn sensitive_values(&self, entry: &str) -> Vec<String> {
        let values = self.sensitive_places(entry).into_iter().map(|at| &entry[at]);
        values.filter_map(|value| Some(text_of(value)?.into_owned())).collect()
    }

    /// Where they lie, also those that do not count since their key is there again.
    fn sensitive_places(&self, entry: &str) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        if entry.starts_with('{') && self.fields.iter().any(|field| field.sensitive) {
            tree::every(&self.tree, entry.as_bytes(), 0..entry.len(), &mut |node, at| {
                if node.fields.iter().any(|&field| self.fields[field].sensitive) {
                    places.push(at);
                }
            });
        }
        places
    }

    /// An entry with the values of its sensitive fields masked, and nothing else changed.
    pub fn masked<'e>(&self, entry: &'e str) -> Cow<'e, str> {
        let hidden = self.sensitive_places(entry);
        if hidden.is_empty() {
            return Cow::Borrowed(entry);
        }
        let mut masked = String::with_capacity(entry.len());
        let mut shown = 0;
        for at in hidden {
            masked.push_str(&entry[shown..at.start]);
            masked.push_str(MASKED);
            shown = at.end;
        }
        masked.push_str(&entry[shown..]);
        Cow::Owned(masked)
    }
}

/// The JSON text of a value as a text: a string without its quotation marks and escapes, everything else as it is written.
/// `None` if half of a character is in it.
pub fn text_of(value: &str) -> Option<Cow<'_, str>> {
    value::text_of(value)
}
