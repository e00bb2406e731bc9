//! The configuration, as every command finds it: `-c`, the environment, the usual places.

use std::path::{Path, PathBuf};

use crate::config::resolve::Settings;
use crate::config::{ConfigError, load_state_dir};

/// Reads all of it.
pub fn load(path: Option<&Path>) -> Result<Settings, ConfigError> {
    Settings::load(path, environment())
}

/// Reads only where the state lies: for commands that look, and must work while the rest is being mended.
pub fn state_dir(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
    load_state_dir(path, environment())
}

/// The environment. A variable that is no UTF-8 is none of ours: `std::env::vars` would panic on it.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}
