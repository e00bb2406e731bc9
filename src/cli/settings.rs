//! The configuration, as every command finds it: `-c`, the environment, the usual places.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::resolve::{Settings, SourceSettings};
use crate::config::{self, ConfigError, Place, Problem, load_state_dir};
use crate::definition::DefinitionFile;

/// Reads all of it.
pub fn load(path: Option<&Path>) -> Result<Settings, ConfigError> {
    Settings::load(path, environment()?)
}

/// Reads only where the state lies: for commands that look, and must work while the rest is being mended.
pub fn state_dir(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
    load_state_dir(path, environment()?)
}

/// The files of event definitions, and the actions that destinations list; what is wrong elsewhere is not asked.
pub fn definition_files(path: Option<&Path>) -> Result<(Vec<DefinitionFile>, Vec<String>), ConfigError> {
    config::load_definition_files(path, environment()?)
}

/// The file that [`load`] reads; `None` where there are only variables.
pub fn file(path: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
    config::place(path, &environment()?.into_iter().collect())
}

/// The settings where nobody configured anything.
pub fn defaults() -> Result<Settings, ConfigError> {
    Settings::parse("")
}

/// The rules of a source of which nothing is said.
pub fn default_source() -> anyhow::Result<SourceSettings> {
    let settings = Settings::parse("[[source]]\nname = 'none'\nurl = 'file:///'")?;
    settings.sources.into_iter().next().context("making up a source")
}

/// The environment. A foreign variable that is no UTF-8 is none of ours; of one of ours nobody may believe that it counts.
fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, text) in std::env::vars_os() {
        let is_ours = name.as_encoded_bytes().starts_with(b"FEEDGATE_") && !text.is_empty();
        match (name.into_string(), text.into_string()) {
            (Ok(name), Ok(text)) => variables.push((name, text)),
            (Ok(name), Err(_)) if is_ours => problems.push(not_utf_8(name, "its value is not UTF-8")),
            (Err(name), _) if is_ours => {
                problems.push(not_utf_8(name.display().to_string(), "its name is not UTF-8"));
            }
            _ => {}
        }
    }
    match problems.is_empty() {
        true => Ok(variables),
        false => Err(ConfigError::Wrong { path: None, problems }),
    }
}

fn not_utf_8(variable: String, what: &str) -> Problem {
    Problem::new(Place::Variable(variable), format!("{what}; write it so, or unset it"))
}
