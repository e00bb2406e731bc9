//! A table of the configuration and the keys it knows.
//!
//! [`section!`] declares one: the struct with a documented field for each key, and the reading of it, which goes on after
//! the first thing it dislikes. A key that nobody knows is refused with the nearest one that is known: a setting that was
//! meant and does not count is worse than one that is missing.

use super::problem::{Place, Problem};
use super::tree::{Entry, Node, Value};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Written<T> {
    /// What it says.
    pub value: T,
    /// Where; [`Place::Nowhere`] for a default.
    pub place: Place,
}

/// A table and its keys.
pub(super) trait Section: Sized {
    /// Its name in brackets; empty for the top of the file.
    const TITLE: &'static str;
    /// Its keys, as the struct spells them.
    const FIELDS: &'static [&'static str];

    /// Reads a table; what is wrong goes to `problems`.
    fn from_entries(place: &Place, entries: &[Entry], problems: &mut Vec<Problem>) -> Self;

    /// Its keys, as the file spells them.
    fn keys() -> impl Iterator<Item = &'static str> {
        Self::FIELDS.iter().map(|field| key_of(field))
    }
}

/// A key as the file spells it: `type` is a word that Rust keeps for itself.
pub(super) fn key_of(field: &'static str) -> &'static str {
    field.trim_start_matches("r#")
}

/// What a key's value may be.
pub(super) trait Form: Sized {
    /// Takes the value, or says what is wrong with it.
    fn take(key: &str, node: &Node, problems: &mut Vec<Problem>) -> Option<Self>;
}

/// A value that is read in one piece.
pub(super) trait Scalar: Sized {
    /// Takes the value; `Err` says what is wanted.
    fn read(node: &Node) -> Result<Self, String>;

    /// Whether a message may show what was written.
    const MAY_BE_SHOWN: bool = true;
}

impl<T: Scalar> Form for T {
    fn take(key: &str, node: &Node, problems: &mut Vec<Problem>) -> Option<T> {
        let wanted = match T::read(node) {
            Ok(value) => return Some(value),
            Err(wanted) => wanted,
        };
        // Somebody may have put the secret itself where the name of its file belongs.
        let is_delicate = ["pass", "private", "_file", "_env"]
            .iter()
            .any(|part| key.contains(part));
        let message = if T::MAY_BE_SHOWN && !is_delicate {
            format!("`{key}` is {}: {wanted}", node.shown())
        } else {
            format!("`{key}`: {wanted}")
        };
        problems.push(Problem::new(node.place.clone(), message));
        None
    }
}

impl<S: Section> Form for Vec<S> {
    fn take(key: &str, node: &Node, problems: &mut Vec<Problem>) -> Option<Vec<S>> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => {
                let message = format!("`{key}` is a list of tables: write `[[{key}]]`, with two brackets");
                problems.push(Problem::new(node.place.clone(), message));
                return None;
            }
        };
        let header = format!("[[{key}]]");
        items.iter().map(|item| table(key, &header, item, problems)).collect()
    }
}

/// Reads a table, or says that one is wanted.
pub(super) fn table<S: Section>(key: &str, header: &str, node: &Node, problems: &mut Vec<Problem>) -> Option<S> {
    if let Value::Table(entries) = &node.value {
        return Some(S::from_entries(&node.place, entries, problems));
    }
    let message = format!("`{key}` is {}: a table is wanted, `{header}`", node.shown());
    problems.push(Problem::new(node.place.clone(), message));
    None
}

/// Where a key's value is kept: a key without a default may be absent.
pub(super) trait Slot<T> {
    fn fill(&mut self, written: Written<T>);
}

impl<T> Slot<T> for Written<T> {
    fn fill(&mut self, written: Written<T>) {
        *self = written;
    }
}

impl<T> Slot<T> for Option<Written<T>> {
    fn fill(&mut self, written: Written<T>) {
        *self = Some(written);
    }
}

/// Puts one key's value into its slot.
pub(super) fn take_entry<T: Form>(entry: &Entry, slot: &mut impl Slot<T>, problems: &mut Vec<Problem>) {
    if let Some(value) = T::take(&entry.key, &entry.node, problems) {
        let place = entry.place.clone();
        slot.fill(Written { value, place });
    }
}

/// Refuses a key that the section does not know.
pub(super) fn refuse<S: Section>(entry: &Entry, problems: &mut Vec<Problem>) {
    let section = match S::TITLE {
        "" => "at the top of the file".to_owned(),
        title => format!("in `{title}`"),
    };
    let key = &entry.key;
    let short: String = key.chars().take(60).collect();
    let advice = advice(S::TITLE, key)
        .map(str::to_owned)
        .unwrap_or_else(|| match nearest(key, S::keys()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => match super::keys().iter().find(|(_, keys)| keys.contains(&key.as_str())) {
                Some(("", _)) => "it belongs at the top of the file, before the first `[`".to_owned(),
                Some((title, _)) => format!("it belongs in `{title}`"),
                None => format!("the keys are {}", S::keys().collect::<Vec<_>>().join(", ")),
            },
        });
    let message = format!("there is no key {short:?} {section}: {advice}");
    problems.push(Problem::new(entry.place.clone(), message));
}

/// The known word that was most likely meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A quarter of the word may be wrong, and one or two letters in any case; beyond that it is a guess.
    let distance_max = (word.chars().count() / 4).clamp(1, 4);
    let word = word.to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::damerau_levenshtein(&word, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// What to say of keys that people try.
fn advice(section: &str, key: &str) -> Option<&'static str> {
    Some(match (section, key) {
        ("", "http") => "this version has no HTTP yet; leave it out",
        ("", "spool_max") => "it is `max` in `[spool]`",
        ("", "sources") => "did you mean `[[source]]`?",
        ("", "destinations") => "did you mean `[[destination]]`?",
        ("source", "password") => "secrets stand in files or in the environment: use `password_file` or `password_env`",
        ("source", "private_key" | "key") => "use `private_key_file`",
        ("source", "passphrase" | "private_key_passphrase") => {
            "secrets stand in files or in the environment: use `private_key_passphrase_file` or `private_key_passphrase_env`"
        }
        ("source", "host" | "hostname" | "port" | "user" | "username" | "path" | "root") => {
            "it is part of `url`: `sftp://user@host:port/path`"
        }
        ("source", "fingerprint" | "hostkey" | "host_keys") => "use `host_key`",
        ("destination", "dir" | "directory" | "file") => "use `path`",
        ("destination", "password" | "pass") => {
            "secrets stand in files or in the environment: use `password_file` or `password_env`"
        }
        ("destination", "bearer" | "token" | "bearer_token") => {
            "secrets stand in files or in the environment: use `bearer_file` or `bearer_env`"
        }
        ("destination", "signing_key" | "hmac_key") => {
            "secrets stand in files or in the environment: use `signing_key_file` or `signing_key_env`"
        }
        ("destination", "publishable_key") => {
            "secrets stand in files or in the environment: use `publishable_key_file` or `publishable_key_env`"
        }
        ("destination", "secret_key") => {
            "secrets stand in files or in the environment: use `secret_key_file` or `secret_key_env`"
        }
        ("destination", "secret" | "key" | "api_key") => {
            "secrets stand in files or in the environment: a bento has `secret_key_file` and `publishable_key_file`, an \
             http has `bearer_file`, `password_file`, `signing_key_file` and `header_files`; each also with `_env`, but \
             for the last"
        }
        ("destination", "username") => "use `user`",
        ("destination", "header") => "use `headers`",
        ("destination", "tag") => "use `tags`",
        _ => return None,
    })
}

/// Declares a section: a documented field for each key, its form, and its default if it has one.
macro_rules! section {
    (
        $(#[$about:meta])*
        pub struct $name:ident in $title:literal {
            $($(#[$doc:meta])* $key:ident: $form:ty $(= $default:expr)?,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[$doc])* pub $key: $crate::config::section::section!(@slot $form $(, $default)?),)*
            /// Where the section begins.
            pub place: $crate::config::Place,
            /// The keys that were written, those with a value of no use included, and where.
            pub given: Vec<(String, $crate::config::Place)>,
        }

        impl $name {
            /// Whether a key was written, whatever its value: what is there and wrong is not also missing.
            pub fn gives(&self, key: &str) -> bool {
                self.place_of(key).is_some()
            }

            /// Where a key was written, whatever its value.
            pub fn place_of(&self, key: &str) -> Option<&$crate::config::Place> {
                self.given.iter().find(|(given, _)| given == key).map(|(_, place)| place)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    $($key: $crate::config::section::section!(@empty $($default)?),)*
                    place: $crate::config::Place::Nowhere,
                    given: Vec::new(),
                }
            }
        }

        impl $crate::config::section::Section for $name {
            const TITLE: &'static str = $title;
            const FIELDS: &'static [&'static str] = &[$(stringify!($key)),*];

            fn from_entries(
                place: &$crate::config::Place,
                entries: &[$crate::config::tree::Entry],
                problems: &mut Vec<$crate::config::Problem>,
            ) -> Self {
                use $crate::config::section::{key_of, refuse, take_entry};
                let mut section = $name { place: place.clone(), ..$name::default() };
                for entry in entries {
                    section.given.push((entry.key.clone(), entry.place.clone()));
                    match entry.key.as_str() {
                        $(key if key == key_of(stringify!($key)) => {
                            take_entry::<$form>(entry, &mut section.$key, problems);
                        })*
                        _ => refuse::<$name>(entry, problems),
                    }
                }
                section
            }
        }

        impl $crate::config::section::Form for $name {
            fn take(
                key: &str,
                node: &$crate::config::tree::Node,
                problems: &mut Vec<$crate::config::Problem>,
            ) -> Option<Self> {
                $crate::config::section::table(key, &format!("[{key}]"), node, problems)
            }
        }
    };
    (@slot $form:ty) => { Option<$crate::config::section::Written<$form>> };
    (@slot $form:ty, $default:expr) => { $crate::config::section::Written<$form> };
    (@empty) => { None };
    (@empty $default:expr) => {
        $crate::config::section::Written { value: $default, place: $crate::config::Place::Nowhere }
    };
}
pub(super) use section;
