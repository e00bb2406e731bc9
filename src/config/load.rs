//! Finding the configuration and reading it: the file, the environment over it, all that is wrong told at once.
//!
//! Relative paths are relative to the working directory, as with any other program; in a container all of them are absolute.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problem::{ConfigError, Place, Problem};
use super::resolve::Settings;
use super::resolver::Resolver;
use super::section::Section;
use super::tree::{self, Node, Value};
use crate::definition::DefinitionFile;

/// Where the configuration is looked for when nobody names one.
const PLACES: [&str; 2] = ["config/feedgate.toml", "/etc/feedgate/feedgate.toml"];

/// Largest configuration that is read: without a limit, a wrong name could fill the memory.
const FILE_BYTES_MAX: u64 = 4 * super::MIB;

/// The variable that names the configuration.
const CONFIG_VARIABLE: &str = "FEEDGATE_CONFIG";

/// The environment's variables.
pub(super) type Environment = BTreeMap<String, String>;

impl Settings {
    /// Reads the configuration: the file at `path`, else the one that `FEEDGATE_CONFIG` names, else `config/feedgate.toml`,
    /// else `/etc/feedgate/feedgate.toml`, with the environment's `FEEDGATE__…` variables laid over it. With such variables
    /// there need be no file at all.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, ConfigError> {
        let environment: Environment = environment.into_iter().collect();
        let path = place(path, &environment)?;
        let text = text_of(path.as_deref())?;
        settings(&text, path.as_deref(), &environment).map_err(|problems| wrong(path, problems))
    }

    /// Reads a text as if it were the file, with nothing laid over it.
    pub fn parse(text: &str) -> Result<Settings, ConfigError> {
        settings(text, None, &Environment::new()).map_err(|problems| wrong(None, problems))
    }
}

fn settings(text: &str, path: Option<&Path>, environment: &Environment) -> Result<Settings, Vec<Problem>> {
    let mut root = tree::parse(text)?;
    let mut problems = tree::overlay(&mut root, environment);
    let file: super::File = read(&root, &mut problems);
    let settings = Resolver::new(environment, &mut problems).settings(&file, path);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

/// Reads `state_dir` alone: `status` and `events` must work while the rest of the file is being mended, and where the
/// secrets cannot be read.
pub fn load_state_dir(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<PathBuf, ConfigError> {
    let environment: Environment = environment.into_iter().collect();
    let path = place(path, &environment)?;
    let text = text_of(path.as_deref())?;
    let mut root = tree::parse(&text).map_err(|problems| wrong(path.clone(), problems))?;
    // What is wrong with other keys is not asked here.
    tree::overlay(&mut root, &environment);
    if let Value::Table(entries) = &mut root.value {
        entries.retain(|entry| entry.key == "state_dir");
    }
    let mut problems = Vec::new();
    let file: super::File = read(&root, &mut problems);
    let state_dir = Resolver::new(&environment, &mut problems).absolute(&file.state_dir);
    if problems.is_empty() {
        return Ok(state_dir);
    }
    Err(wrong(path, problems))
}

/// Reads the files of event definitions, and the actions that destinations list, without a look at what else there is: they
/// can be listed and mended where the secrets cannot be read.
pub fn load_definition_files(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Vec<DefinitionFile>, Vec<String>), ConfigError> {
    let environment: Environment = environment.into_iter().collect();
    let path = place(path, &environment)?;
    let text = text_of(path.as_deref())?;
    let mut root = tree::parse(&text).map_err(|problems| wrong(path.clone(), problems))?;
    tree::overlay(&mut root, &environment);
    // What is wrong with a destination is not asked here, and its secrets are not read.
    let everything: super::File = read(&root, &mut Vec::new());
    let lists = everything
        .destination
        .value
        .into_iter()
        .filter_map(|destination| destination.actions);
    let actions: Vec<String> = lists.flat_map(|list| list.value.0).collect();
    if let Value::Table(entries) = &mut root.value {
        entries.retain(|entry| entry.key == "definitions");
    }
    let mut problems = Vec::new();
    let file: super::File = read(&root, &mut problems);
    let (files, _) = Resolver::new(&environment, &mut problems).definition_files(&file.definitions, path.as_deref());
    if problems.is_empty() {
        return Ok((files, actions));
    }
    Err(wrong(path, problems))
}

/// The file that is to be read; `None` where there are only variables.
pub fn place(path: Option<&Path>, environment: &Environment) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = path {
        return Ok(Some(path.to_owned()));
    }
    if let Some(named) = environment.get(CONFIG_VARIABLE).filter(|named| !named.is_empty()) {
        return Ok(Some(PathBuf::from(named)));
    }
    if let Some(found) = PLACES.iter().find(|place| Path::new(place).exists()) {
        return Ok(Some(PathBuf::from(found)));
    }
    if tree::sets_anything(environment) {
        return Ok(None);
    }
    Err(ConfigError::Absent {
        tried: PLACES.iter().map(|place| format!("`{place}`")).collect(),
    })
}

fn wrong(path: Option<PathBuf>, mut problems: Vec<Problem>) -> ConfigError {
    // In the order of the file, then the environment's, then what is missing altogether.
    problems.sort_by_key(|problem| match problem.place {
        Place::Line(line) => (0, line),
        Place::Variable(_) => (1, 0),
        Place::Nowhere => (2, 0),
    });
    ConfigError::Wrong { path, problems }
}

fn text_of(path: Option<&Path>) -> Result<String, ConfigError> {
    let Some(path) = path else {
        return Ok(String::new());
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    let source = match read {
        Ok(_) if text.len() as u64 <= FILE_BYTES_MAX => return Ok(text),
        Ok(_) => io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes; no configuration is")),
        Err(error) => error,
    };
    Err(ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn read<S: Section>(root: &Node, problems: &mut Vec<Problem>) -> S {
    match &root.value {
        Value::Table(entries) => S::from_entries(&root.place, entries, problems),
        _ => S::from_entries(&root.place, &[], problems),
    }
}
