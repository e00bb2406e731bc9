//! Destinations: what each is, where it begins, and that none is in another's way.

use std::path::{Path, PathBuf};

use super::Destination;
use super::form::{Compression, Kind, Partition, Strings};
use super::resolve::{DestinationKind, DestinationSettings, FileFormat, Start};
use super::resolver::{Resolver, name_of, placed};
use super::section::Written;

/// Level of compression where none is given: zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Dead letters with which a destination is barred where no number is given.
const DEAD_LETTERS_MAX: u64 = 100_000;

/// What lies in `state_dir` and belongs to nobody else.
const STATE_NAMES: [&str; 6] = [
    "ledger.db",
    "spool",
    "spool.ledger",
    "imports.jsonl",
    "lock",
    "heartbeat",
];

impl Resolver<'_> {
    pub(super) fn destination(&mut self, destination: &Destination, state_dir: &Path) -> DestinationSettings {
        for key in ["name", "type"] {
            if !destination.gives(key) {
                self.missing("destination", key, &destination.place);
            }
        }
        let name = name_of(&destination.name);
        // Without a type nothing can be said of the keys that depend on it.
        let Some(kind) = destination.r#type.as_ref().map(|kind| kind.value) else {
            return DestinationSettings {
                name,
                kind: DestinationKind::Console,
                start: Start::Now,
                was: None,
                events: Vec::new(),
                sources: Vec::new(),
                rename: Vec::new(),
                dead_letters_max: DEAD_LETTERS_MAX,
            };
        };
        if kind != Kind::File {
            let file_alone = [
                ("partition", placed(&destination.partition)),
                ("compression", placed(&destination.compression)),
            ];
            for (key, place) in file_alone {
                if let Some(place) = place {
                    self.problem(place, format!("`{key}` is for destinations of type \"file\""));
                }
            }
        }
        let path = destination.path.as_ref().map(|path| self.absolute(path));
        let kind = match kind {
            Kind::Sqlite => DestinationKind::Sqlite {
                path: path.unwrap_or_else(|| state_dir.join(format!("{name}.db"))),
            },
            Kind::File => DestinationKind::File {
                dir: path.unwrap_or_else(|| state_dir.join(&name)),
                by_event_date: matches!(&destination.partition, Some(by) if by.value == Partition::EventDate),
                format: FileFormat::Ndjson,
                zstd_level: destination.compression.as_ref().map_or(
                    ZSTD_LEVEL,
                    |Written {
                         value: Compression(level),
                         ..
                     }| *level,
                ),
            },
            Kind::Console => {
                if let Some(place) = placed(&destination.path) {
                    self.problem(place, "`path` is for destinations of type \"sqlite\" and \"file\"");
                }
                DestinationKind::Console
            }
        };
        let start = match kind {
            DestinationKind::Console => Start::Now,
            _ => Start::Oldest,
        };
        let strings =
            |list: &Option<Written<Strings>>| list.as_ref().map_or_else(Vec::new, |list| list.value.0.clone());
        DestinationSettings {
            name,
            kind,
            start: destination.start.as_ref().map_or(start, |start| start.value),
            was: destination.was.as_ref().map(|was| was.value.0.clone()),
            events: strings(&destination.events),
            sources: strings(&destination.sources),
            rename: Vec::new(),
            dead_letters_max: DEAD_LETTERS_MAX,
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
                DestinationKind::Console | DestinationKind::Http(_) | DestinationKind::Bento(_) => continue,
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
