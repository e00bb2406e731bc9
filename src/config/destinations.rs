//! Destinations: what each is, where it begins, and that none is in another's way.

use std::path::{Path, PathBuf};

use super::Destination;
use super::form::Strings;
use super::resolve::{DestinationKind, DestinationSettings, FileFormat, Start};
use super::resolver::{Resolver, name_of, placed};
use super::section::Written;
use super::words::{Compression, Format, Kind, Partition, ZSTD_LEVEL};

/// What lies in `state_dir` and belongs to nobody else.
const STATE_NAMES: [&str; 8] = [
    "ledger.db",
    "spool",
    "spool.ledger",
    "spool.commits",
    "spool.clock",
    "imports.jsonl",
    "lock",
    "heartbeat",
];

/// Keys that some destinations have, and which these are. All have the others.
const KEYS_OF_SOME: [(&[Kind], &[&str]); 10] = [
    (&[Kind::Sqlite, Kind::File], &["path"]),
    (&[Kind::File], &["partition"]),
    (&[Kind::File, Kind::Http], &["format", "compression"]),
    (
        &[Kind::Http, Kind::Bento, Kind::Capillary],
        &["url", "ca_file", "timeout"],
    ),
    (&[Kind::Http, Kind::Bento], &["batch_events"]),
    (
        &[Kind::Http, Kind::Capillary],
        &["user", "password_file", "password_env"],
    ),
    (&[Kind::Bento, Kind::Capillary], &["burst"]),
    (
        &[Kind::Http],
        &[
            "batch_bytes",
            "headers",
            "header_files",
            "bearer_file",
            "bearer_env",
            "signing_key_file",
            "signing_key_env",
            "statuses",
        ],
    ),
    (
        &[Kind::Bento],
        &[
            "site_uuid",
            "publishable_key_file",
            "publishable_key_env",
            "secret_key_file",
            "secret_key_env",
            "batch_per_hour",
            "fetch_per_hour",
            "without_email",
            "currency",
            "bypass_workflows",
            "fields",
            "profile",
            "tags",
            "set_fields",
        ],
    ),
    (
        &[Kind::Capillary],
        &[
            "without_definition",
            "without_identifier",
            "till_code",
            "org_resolver",
            "requests_per_hour",
            "api_url",
            "token_file",
            "token_env",
        ],
    ),
];

impl Resolver<'_> {
    pub(super) fn destination(&mut self, destination: &Destination, state_dir: &Path) -> DestinationSettings {
        for key in ["name", "type"] {
            if !destination.gives(key) {
                self.missing("destination", key, &destination.place);
            }
        }
        let name = name_of(&destination.name);
        let kind = match destination.r#type.as_ref().map(|kind| kind.value) {
            Some(kind) => {
                self.refuse_keys_of_others(destination, kind);
                self.destination_kind(destination, kind, &name, state_dir)
            }
            // Without a type nothing can be said of the keys that depend on it.
            None => DestinationKind::Console,
        };
        // What acts on people or systems does not begin with the past unasked.
        let start = match kind {
            DestinationKind::Sqlite { .. } | DestinationKind::File { .. } => Start::Oldest,
            DestinationKind::Console
            | DestinationKind::Http(_)
            | DestinationKind::Bento(_)
            | DestinationKind::Capillary(_) => Start::Now,
        };
        let strings =
            |list: &Option<Written<Strings>>| list.as_ref().map_or_else(Vec::new, |list| list.value.0.clone());
        for (key, list) in [
            ("events", &destination.events),
            ("sources", &destination.sources),
            ("actions", &destination.actions),
        ] {
            if let Some(list) = list
                && list.value.0.is_empty()
            {
                self.problem(
                    &list.place,
                    format!("`{key}` is an empty list, which would let nothing through; leave it out to have all"),
                );
            }
        }
        DestinationSettings {
            name,
            kind,
            start: destination.start.as_ref().map_or(start, |start| start.value),
            was: destination.was.as_ref().map(|was| was.value.0.clone()),
            events: strings(&destination.events),
            sources: strings(&destination.sources),
            actions: strings(&destination.actions),
            rename: destination
                .rename
                .value
                .map(|given, there| (given.0.clone(), there.0.clone())),
            dead_letters_max: self.count("dead_letters_max", &destination.dead_letters_max, 1..=10_000_000),
        }
    }

    fn destination_kind(
        &mut self,
        destination: &Destination,
        kind: Kind,
        name: &str,
        state_dir: &Path,
    ) -> DestinationKind {
        let path = destination.path.as_ref().map(|path| self.absolute(path));
        match kind {
            Kind::Sqlite => DestinationKind::Sqlite {
                path: path.unwrap_or_else(|| state_dir.join(format!("{name}.db"))),
            },
            Kind::File => DestinationKind::File {
                dir: path.unwrap_or_else(|| state_dir.join(name)),
                by_event_date: matches!(&destination.partition, Some(by) if by.value == Partition::EventDate),
                format: self.file_format(destination),
                zstd_level: self.file_zstd_level(destination),
            },
            Kind::Console => DestinationKind::Console,
            Kind::Http => DestinationKind::Http(Box::new(self.http(destination))),
            Kind::Bento => DestinationKind::Bento(Box::new(self.bento(destination))),
            Kind::Capillary => DestinationKind::Capillary(Box::new(self.capillary(destination))),
        }
    }

    /// A key that means nothing here was meant for something.
    fn refuse_keys_of_others(&mut self, destination: &Destination, kind: Kind) {
        for (kinds, keys) in KEYS_OF_SOME.iter().filter(|(kinds, _)| !kinds.contains(&kind)) {
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("{:?}", kind.as_str())).collect();
            let kinds = kinds.join(" and ");
            for key in *keys {
                let Some(place) = destination.place_of(key) else {
                    continue;
                };
                let instead = match (*key, kind) {
                    ("url", Kind::Sqlite | Kind::File) => "; use `path`",
                    ("path", Kind::Http | Kind::Bento | Kind::Capillary) => "; use `url`",
                    _ => "",
                };
                self.problem(place, format!("`{key}` is for destinations of type {kinds}{instead}"));
            }
        }
    }

    fn file_format(&mut self, destination: &Destination) -> FileFormat {
        let Some(format) = &destination.format else {
            return FileFormat::Ndjson;
        };
        match format.value {
            Format::Ndjson => FileFormat::Ndjson,
            Format::Parquet if cfg!(feature = "parquet") => FileFormat::Parquet,
            Format::Parquet => {
                self.problem(
                    &format.place,
                    "`format`: this program was built without Parquet: build it with the cargo feature `parquet`, or write \
                     \"ndjson\"",
                );
                FileFormat::Parquet
            }
            Format::Array => {
                self.problem(
                    &format.place,
                    "`format`: \"array\" is for destinations of type \"http\"; a \"file\" has \"ndjson\" or \"parquet\"",
                );
                FileFormat::Ndjson
            }
        }
    }

    fn file_zstd_level(&mut self, destination: &Destination) -> i32 {
        let Some(compression) = &destination.compression else {
            return ZSTD_LEVEL;
        };
        match compression.value {
            Compression::None => 0,
            Compression::Zstd(level) => level,
            Compression::Gzip => {
                self.problem(
                    &compression.place,
                    "`compression`: \"gzip\" is for destinations of type \"http\"; a \"file\" has a zstd level, 1 to 22, or \"none\"",
                );
                ZSTD_LEVEL
            }
        }
    }

    /// Two destinations in one place, or one upon the ledger, would destroy each other.
    pub(super) fn refuse_shared_paths(
        &mut self,
        written: &[Destination],
        destinations: &[DestinationSettings],
        state_dir: &Path,
    ) {
        let mut taken: Vec<(PathBuf, String)> = STATE_NAMES
            .iter()
            .map(|name| (state_dir.join(name), "Feedgate itself".to_owned()))
            .collect();
        for (written, destination) in written.iter().zip(destinations) {
            let path = match &destination.kind {
                DestinationKind::Sqlite { path } => path,
                DestinationKind::File { dir, .. } => dir,
                DestinationKind::Console
                | DestinationKind::Http(_)
                | DestinationKind::Bento(_)
                | DestinationKind::Capillary(_) => continue,
            };
            let place = placed(&written.path)
                .or(placed(&written.name))
                .unwrap_or(&written.place);
            if let Some((_, owner)) = taken.iter().find(|(taken, _)| taken == path) {
                self.problem(
                    place,
                    format!(
                        "`{}` belongs to {owner}; give this destination another `path`",
                        path.display()
                    ),
                );
            } else if path == state_dir {
                self.problem(
                    place,
                    "`path` is `state_dir` itself; give this destination a place of its own",
                );
            }
            taken.push((path.clone(), format!("destination `{}`", destination.name)));
        }
    }

    /// `was` takes over a cursor: it must be one that nobody else still uses.
    pub(super) fn refuse_stolen_names(&mut self, destinations: &[Destination]) {
        for destination in destinations {
            let Some(was) = &destination.was else { continue };
            let is_used = |other: &&Destination| matches!(&other.name, Some(name) if name.value == was.value);
            if destinations.iter().any(|other| is_used(&other)) {
                self.problem(
                    &was.place,
                    format!("`was`: there is still a destination `{}`", was.value.0),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::Section;

    /// Keys that every destination has.
    const KEYS_OF_ALL: [&str; 9] = [
        "name",
        "type",
        "start",
        "was",
        "events",
        "sources",
        "actions",
        "rename",
        "dead_letters_max",
    ];

    /// A key that stood in neither list would be taken by every destination, and mean nothing in most.
    #[test]
    fn every_key_belongs_to_some_type() {
        let some = KEYS_OF_SOME.iter().flat_map(|(_, keys)| keys.iter());
        let mut listed: Vec<&str> = KEYS_OF_ALL.iter().chain(some).copied().collect();
        let mut known: Vec<&str> = Destination::keys().collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
