//! The configuration, as every command finds it: `-c`, the environment, the usual places.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::config::resolve::{Settings, SourceSettings};
use crate::config::{self, ConfigError, load_state_dir};

/// Reads all of it.
pub fn load(path: Option<&Path>) -> Result<Settings, ConfigError> {
    Settings::load(path, environment())
}

/// Reads only where the state lies: for commands that look, and must work while the rest is being mended.
pub fn state_dir(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
    load_state_dir(path, environment())
}

/// The file that [`load`] reads; `None` where there are only variables.
pub fn file(path: Option<&Path>) -> Result<Option<PathBuf>, ConfigError> {
    config::place(path, &environment().collect())
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

/// The environment. A variable that is no UTF-8 is none of ours: `std::env::vars` would panic on it.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}
