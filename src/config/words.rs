//! Values that are one word of a few: types, policies, formats. Each word stands here once, beside what it means.

use super::form::digits;
use super::resolve::{After, KeepPeople, Packaging, Start, StatusMeaning, WithoutDefinition, WithoutEmail};
use super::section::Scalar;
use super::tree::{Node, Value};
use crate::definition::UnknownEvents;
use crate::feed::DuplicateKeys;

/// The type of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sqlite`
    Sqlite,
    /// `file`
    File,
    /// `console`
    Console,
    /// `http`
    Http,
    /// `bento`
    Bento,
    /// `capillary`
    Capillary,
}

const KINDS: [(&str, Kind); 6] = [
    ("sqlite", Kind::Sqlite),
    ("file", Kind::File),
    ("console", Kind::Console),
    ("http", Kind::Http),
    ("bento", Kind::Bento),
    ("capillary", Kind::Capillary),
];

/// Types that are planned, and that people will try.
const KINDS_LATER: [&str; 3] = ["postgres", "nats", "kafka"];

impl Kind {
    /// As the configuration spells it.
    pub(super) fn as_str(self) -> &'static str {
        let (word, _) = KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .expect("every type has a word");
        word
    }
}

impl Scalar for Kind {
    fn read(node: &Node) -> Result<Kind, String> {
        if let Value::Text(text) = &node.value
            && KINDS_LATER.contains(&text.as_str())
        {
            let (last, others) = KINDS.split_last().expect("there are types");
            let others: Vec<String> = others.iter().map(|(word, _)| format!("{word:?}")).collect();
            return Err(format!(
                "this version does not have it yet; it has {} and {:?}",
                others.join(", "),
                last.0
            ));
        }
        one_of(node, &KINDS)
    }
}

impl Scalar for Packaging {
    fn read(node: &Node) -> Result<Packaging, String> {
        one_of(node, &[("lenient", Packaging::Lenient), ("strict", Packaging::Strict)])
    }
}

impl Scalar for UnknownEvents {
    fn read(node: &Node) -> Result<UnknownEvents, String> {
        one_of(
            node,
            &[("accept", UnknownEvents::Accept), ("reject", UnknownEvents::Reject)],
        )
    }
}

impl Scalar for KeepPeople {
    fn read(node: &Node) -> Result<KeepPeople, String> {
        one_of(
            node,
            &[
                ("auto", KeepPeople::Auto),
                ("always", KeepPeople::Always),
                ("never", KeepPeople::Never),
            ],
        )
    }
}

impl Scalar for After {
    fn read(node: &Node) -> Result<After, String> {
        one_of(
            node,
            &[
                ("move", After::Move),
                ("delete", After::Delete),
                ("leave", After::Leave),
            ],
        )
    }
}

impl Scalar for DuplicateKeys {
    fn read(node: &Node) -> Result<DuplicateKeys, String> {
        one_of(
            node,
            &[("reject", DuplicateKeys::Reject), ("last", DuplicateKeys::Last)],
        )
    }
}

impl Scalar for Start {
    fn read(node: &Node) -> Result<Start, String> {
        one_of(node, &[("oldest", Start::Oldest), ("now", Start::Now)])
    }
}

impl Scalar for WithoutEmail {
    fn read(node: &Node) -> Result<WithoutEmail, String> {
        one_of(
            node,
            &[
                ("hold", WithoutEmail::Hold),
                ("refuse", WithoutEmail::Refuse),
                ("drop", WithoutEmail::Drop),
            ],
        )
    }
}

impl Scalar for WithoutDefinition {
    fn read(node: &Node) -> Result<WithoutDefinition, String> {
        one_of(
            node,
            &[("refuse", WithoutDefinition::Refuse), ("drop", WithoutDefinition::Drop)],
        )
    }
}

impl Scalar for StatusMeaning {
    fn read(node: &Node) -> Result<StatusMeaning, String> {
        one_of(
            node,
            &[
                ("delivered", StatusMeaning::Delivered),
                ("refused", StatusMeaning::Refused),
                ("too_large", StatusMeaning::TooLarge),
                ("unavailable", StatusMeaning::Unavailable),
                ("barred", StatusMeaning::Barred),
            ],
        )
    }
}

/// How the files of a `file` destination are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// By day of import.
    Import,
    /// By the events' own date.
    EventDate,
}

impl Scalar for Partition {
    fn read(node: &Node) -> Result<Partition, String> {
        one_of(
            node,
            &[("import", Partition::Import), ("event_date", Partition::EventDate)],
        )
    }
}

/// How events are written: which of these there are depends on the destination's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Array,
    /// Parquet.
    Parquet,
}

impl Scalar for Format {
    fn read(node: &Node) -> Result<Format, String> {
        one_of(
            node,
            &[
                ("ndjson", Format::Ndjson),
                ("array", Format::Array),
                ("parquet", Format::Parquet),
            ],
        )
    }
}

/// How what is written is compressed: whether there is gzip depends on the destination's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// It is not.
    None,
    /// gzip.
    Gzip,
    /// zstd, with this level.
    Zstd(i32),
}

/// zstd's own default, where no level is given.
pub(super) const ZSTD_LEVEL: i32 = 3;

impl Scalar for Compression {
    fn read(node: &Node) -> Result<Compression, String> {
        let level = match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => match text.as_str() {
                "none" => return Ok(Compression::None),
                "gzip" => return Ok(Compression::Gzip),
                "zstd" => return Ok(Compression::Zstd(ZSTD_LEVEL)),
                _ if node.is_from_environment() => digits(text),
                _ => None,
            },
            _ => None,
        };
        match level {
            Some(level @ 1..=22) => Ok(Compression::Zstd(level as i32)),
            _ => Err("a zstd level, 1 to 22, \"zstd\", \"gzip\" or \"none\" is wanted".to_owned()),
        }
    }
}

fn one_of<T: Copy>(node: &Node, words: &[(&str, T)]) -> Result<T, String> {
    let found = match &node.value {
        Value::Text(text) => words.iter().find(|(word, _)| word == text),
        _ => None,
    };
    if let Some((_, meaning)) = found {
        return Ok(*meaning);
    }
    let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    let (last, others) = words.split_last().expect("every choice has words");
    Err(format!("{} or {last} is wanted", others.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{from_environment, from_file};

    #[test]
    fn words() {
        assert_eq!(After::read(&from_file("'leave'")).unwrap(), After::Leave);
        assert_eq!(
            After::read(&from_file("'keep'")).unwrap_err(),
            r#""move", "delete" or "leave" is wanted"#
        );
        assert!(After::read(&from_file("['leave']")).is_err());
    }

    #[test]
    fn types_of_destinations() {
        for (word, kind) in KINDS {
            assert_eq!(Kind::read(&from_file(&format!("'{word}'"))), Ok(kind));
            assert_eq!(kind.as_str(), word);
        }
        for word in KINDS_LATER {
            let wanted = Kind::read(&from_file(&format!("'{word}'"))).unwrap_err();
            assert_eq!(
                wanted,
                "this version does not have it yet; it has \"sqlite\", \"file\", \"console\", \"http\", \"bento\" and \"capillary\""
            );
        }
    }

    #[test]
    fn compressions() {
        let check = |toml: &str, expect: Option<Compression>| {
            assert_eq!(Compression::read(&from_file(toml)).ok(), expect, "{toml}");
        };
        check("'none'", Some(Compression::None));
        check("'gzip'", Some(Compression::Gzip));
        check("'zstd'", Some(Compression::Zstd(3)));
        check("1", Some(Compression::Zstd(1)));
        check("22", Some(Compression::Zstd(22)));
        check("0", None);
        check("23", None);
        check("-1", None);
        check("'3'", None);
        check("'brotli'", None);
        check("true", None);
        let written = from_environment("19");
        assert_eq!(Compression::read(&written).unwrap(), Compression::Zstd(19));
    }
}
