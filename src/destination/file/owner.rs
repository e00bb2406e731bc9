//! Whose directory it is.
//!
//! Two destinations in one directory, by whatever path, would write over each other's files: a mark in it says whose it is,
//! and the first one stays.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::super::{Reply, of_io};
use crate::config::resolve::DestinationSettings;

/// The file that says whose directory it is.
const OWNER_MARK: &str = ".feedgate";

/// Makes the directory this destination's own.
pub(super) fn own(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    let owner = owner(dir)?;
    refuse_strangers(dir, settings, owner.as_deref())?;
    if owner.as_deref() == Some(settings.name.as_str()) {
        return Ok(());
    }
    let mark = dir.join(OWNER_MARK);
    let failed = |error: std::io::Error| of_io(&format!("writing `{}`", mark.display()), &error);
    match owner {
        Some(_) => fs::write(&mark, format!("{}\n", settings.name)).map_err(failed),
        // Of two that come at once, one makes it, and the other finds it made.
        None => match File::create_new(&mark) {
            Ok(mut file) => file
                .write_all(format!("{}\n", settings.name).as_bytes())
                .map_err(failed),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Reply::Unavailable {
                reason: format!("another destination has just begun to use `{}`", dir.display()),
            }),
            Err(error) => Err(failed(error)),
        },
    }
}

/// Says whether [`own`] would succeed, and changes nothing.
pub(super) fn check(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    refuse_strangers(dir, settings, owner(dir)?.as_deref())
}

/// Whose files lie in a directory, as the mark in it says.
fn owner(dir: &Path) -> Result<Option<String>, Reply> {
    let mark = dir.join(OWNER_MARK);
    match fs::read_to_string(&mark) {
        Ok(name) => Ok(Some(name.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of_io(&format!("reading `{}`", mark.display()), &error)),
    }
}

fn refuse_strangers(dir: &Path, settings: &DestinationSettings, owner: Option<&str>) -> Result<(), Reply> {
    match owner {
        Some(owner) if owner != settings.name && Some(owner) != settings.was.as_deref() => Err(Reply::Barred {
            reason: format!(
                "the directory `{}` belongs to the destination `{owner}`, as `{OWNER_MARK}` in it says: name another `path`, or write \
                 `was = \"{owner}\"` if that is what this one was called",
                dir.display()
            ),
        }),
        _ => Ok(()),
    }
}
