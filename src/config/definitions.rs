//! The files of event definitions: found, read, and told with the rest of what is wrong.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DefinitionRules;
use super::problem::Place;
use super::resolve::DefinitionSettings;
use super::resolver::Resolver;
use super::section::Written;
use crate::definition::{DefinitionFile, Definitions, UnknownEvents};

/// Where they lie if nobody says: this directory beside the configuration file.
const DIR: &str = "events";

/// Largest file that is read, and most of them: without a limit, a wrong directory could fill the memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const FILES_MAX: usize = 1000;

impl Resolver<'_> {
    /// Reads the definitions. `config` is the configuration file, `actions` what destinations list.
    pub(super) fn definitions(
        &mut self,
        rules: &Written<DefinitionRules>,
        config: Option<&Path>,
        actions: &[String],
    ) -> DefinitionSettings {
        let unknown_events = rules.value.unknown_events.value;
        let (files, dir) = self.definition_files(rules, config);
        let definitions = self.read_definitions(&files, actions);
        if definitions.is_none() && unknown_events == UnknownEvents::Reject && self.is_well() {
            let place = &rules.value.unknown_events.place;
            let message = "`unknown_events` is \"reject\", and there are no event definitions: every event would be rejected; \
                           write definitions, or name their directory in `dir`";
            self.problem(place, message);
        }
        DefinitionSettings {
            dir,
            unknown_events,
            definitions,
        }
    }

    /// Their files, and where these lie or would lie.
    pub(super) fn definition_files(
        &mut self,
        rules: &Written<DefinitionRules>,
        config: Option<&Path>,
    ) -> (Vec<DefinitionFile>, Option<PathBuf>) {
        let (dir, place) = match &rules.value.dir {
            Some(dir) => (Some(self.absolute(dir)), dir.place.clone()),
            None => (beside(config), Place::Nowhere),
        };
        let files = match dir.as_deref().map(files_in) {
            None => Vec::new(),
            Some(Ok(files)) => files,
            // Nobody said that there are any.
            Some(Err(error)) if rules.value.dir.is_none() && error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Some(Err(error)) => {
                let shown = dir.as_deref().unwrap_or(Path::new("")).display();
                self.problem(
                    &place,
                    format!("`dir`: reading the event definitions in `{shown}`: {error}"),
                );
                Vec::new()
            }
        };
        (files, dir)
    }

    fn read_definitions(&mut self, files: &[DefinitionFile], actions: &[String]) -> Option<Arc<Definitions>> {
        match Definitions::parse(files, actions) {
            Ok(definitions) if definitions.is_empty() => None,
            Ok(definitions) => Some(Arc::new(definitions)),
            Err(problems) => {
                for problem in problems {
                    self.problem(&Place::Nowhere, problem.to_string());
                }
                None
            }
        }
    }
}

/// The directory beside the configuration file.
fn beside(config: Option<&Path>) -> Option<PathBuf> {
    let config = std::path::absolute(config?).ok()?;
    Some(config.parent()?.join(DIR))
}

/// The definitions in a directory: its `.json` files, in the order of their names.
fn files_in(dir: &Path) -> io::Result<Vec<DefinitionFile>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files are in it")));
        }
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

/// Reads one file of definitions.
pub fn read_file(path: &Path) -> io::Result<DefinitionFile> {
    let mut text = String::new();
    let about = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    let file = File::open(path).map_err(about)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(about)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(about(io::Error::other(format!(
            "larger than {FILE_BYTES_MAX} bytes; no definition is"
        ))));
    }
    Ok(DefinitionFile {
        name: path.display().to_string(),
        text,
    })
}
