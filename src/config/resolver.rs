//! From what was written to what the program uses: defaults filled in, secrets read, everything held against everything else.
//!
//! `sources`, `destinations` (with `http` and `bento`) and `secrets` go on with what is here.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::form::{Bytes, Count, Name};
use super::load::Environment;
use super::problem::{Place, Problem};
use super::resolve::{
    DestinationKind, DestinationSettings, ImportLogSettings, LimitSettings, Settings, SourceSettings, SpoolSettings,
};
use super::section::Written;
use super::{File, GIB, KIB, Limits, TIB};

/// Turns what was written into settings. It always returns some; they count only if there are no problems.
pub(super) struct Resolver<'a> {
    pub(super) environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(environment: &'a Environment, problems: &'a mut Vec<Problem>) -> Resolver<'a> {
        Resolver { environment, problems }
    }

    pub(super) fn problem(&mut self, place: &Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place.clone(), message));
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// What the file says, which lies at `path`, if it is one.
    pub(super) fn settings(&mut self, file: &File, path: Option<&Path>) -> Settings {
        let state_dir = self.absolute(&file.state_dir);
        self.refuse_twins(
            "source",
            file.source.value.iter().filter_map(|source| source.name.as_ref()),
        );
        self.refuse_twins(
            "destination",
            file.destination
                .value
                .iter()
                .filter_map(|destination| destination.name.as_ref()),
        );
        let sources: Vec<SourceSettings> = file.source.value.iter().map(|source| self.source(source)).collect();
        self.refuse_shared_roots(&file.source.value, &sources);
        let mut destinations: Vec<DestinationSettings> = file
            .destination
            .value
            .iter()
            .map(|destination| self.destination(destination, &state_dir))
            .collect();
        self.refuse_shared_paths(&file.destination.value, &destinations, &state_dir);
        self.refuse_stolen_names(&file.destination.value);
        self.refuse_disputed_budgets(&file.destination.value, &destinations);
        let actions: Vec<String> = destinations
            .iter()
            .flat_map(|destination| destination.actions.clone())
            .collect();
        let definitions = self.definitions(&file.definitions, path, &actions);
        for destination in &mut destinations {
            if let DestinationKind::Capillary(capillary) = &mut destination.kind {
                capillary.definitions.clone_from(&definitions.definitions);
            }
        }
        let spool = &file.spool.value;
        let import_log = &file.import_log.value;
        Settings {
            sources,
            destinations,
            limits: self.limits(&file.limits.value),
            definitions,
            spool: SpoolSettings {
                retention: spool.retention.value,
                max_lag: spool.max_lag.value,
                max_bytes: spool.max.as_ref().map(|max| max.value.0),
                free_bytes_min: spool.free_min.value.0,
            },
            import_log: ImportLogSettings {
                rotate_bytes: self.size("rotate", &import_log.rotate, 64 * KIB..=TIB),
                keep: self.count("keep", &import_log.keep, 0..=10_000) as usize,
            },
            people: file.people.value.keep.value,
            state_dir,
        }
    }

    pub(super) fn limits(&mut self, limits: &Limits) -> LimitSettings {
        LimitSettings {
            archive_bytes: self.size("archive_bytes", &limits.archive_bytes, KIB..=1024 * TIB),
            unpacked_bytes: self.size("unpacked_bytes", &limits.unpacked_bytes, KIB..=1024 * TIB),
            ratio: self.count("ratio", &limits.ratio, 1..=1_000_000),
            entry_bytes: self.size("entry_bytes", &limits.entry_bytes, KIB..=GIB),
            depth: self.count("depth", &limits.depth, 2..=1024) as u32,
            concurrent_imports: self.count("concurrent_imports", &limits.concurrent_imports, 1..=64) as usize,
        }
    }

    pub(super) fn refuse_twins<'n>(&mut self, section: &str, names: impl Iterator<Item = &'n Written<Name>>) {
        let mut seen: Vec<&Name> = Vec::new();
        for name in names {
            if seen.contains(&&name.value) {
                self.problem(
                    &name.place,
                    format!("there are two of the name `{}` in `[[{section}]]`", name.value.0),
                );
            }
            seen.push(&name.value);
        }
    }

    pub(super) fn missing(&mut self, section: &str, key: &str, place: &Place) {
        self.problem(place, format!("`{key}` is missing from this `[[{section}]]`"));
    }

    pub(super) fn duration(
        &mut self,
        key: &str,
        written: &Written<Duration>,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        self.within(key, written, &written.value, &allowed, |duration| {
            humantime::format_duration(*duration).to_string()
        });
        written.value
    }

    pub(super) fn size(&mut self, key: &str, written: &Written<Bytes>, allowed: RangeInclusive<u64>) -> u64 {
        self.within(key, written, &written.value.0, &allowed, |bytes| {
            bytesize::ByteSize(*bytes).to_string()
        });
        written.value.0
    }

    pub(super) fn count(&mut self, key: &str, written: &Written<Count>, allowed: RangeInclusive<u64>) -> u64 {
        self.within(key, written, &written.value.0, &allowed, u64::to_string);
        written.value.0
    }

    pub(super) fn within<W, T: PartialOrd + Debug>(
        &mut self,
        key: &str,
        written: &Written<W>,
        value: &T,
        allowed: &RangeInclusive<T>,
        shown: impl Fn(&T) -> String,
    ) {
        if !allowed.contains(value) {
            let (value, least, most) = (shown(value), shown(allowed.start()), shown(allowed.end()));
            self.problem(
                &written.place,
                format!("`{key}` is {value}: from {least} to {most} is wanted"),
            );
        }
    }

    pub(super) fn absolute(&mut self, path: &Written<PathBuf>) -> PathBuf {
        std::path::absolute(&path.value).unwrap_or_else(|error| {
            self.problem(
                &path.place,
                format!("finding out where `{}` is: {error}", path.value.display()),
            );
            path.value.clone()
        })
    }
}

/// The name, or nothing where it is missing or wrong: that has been told.
pub(super) fn name_of(name: &Option<Written<Name>>) -> String {
    name.as_ref().map_or_else(String::new, |name| name.value.0.clone())
}

pub(super) fn placed<T>(written: &Option<Written<T>>) -> Option<&Place> {
    written.as_ref().map(|written| &written.place)
}
