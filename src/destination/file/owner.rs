//! Whose directory it is.
//!
//! Two destinations in one directory, by whatever path, would write over each other's files: a mark in it says whose it is,
//! and the first one stays.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
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
    let path = dir.join(OWNER_MARK);
    let failed = |error: io::Error| of_io(&format!("writing `{}`", path.display()), &error);
    let mut mark = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    // Of two that come at once, one writes it, and the other finds it written. Where nothing can be locked, they are not
    // that quick.
    if matches!(mark.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(Reply::Unavailable {
            reason: format!("another destination has just begun to use `{}`", dir.display()),
        });
    }
    refuse_strangers(dir, settings, self::owner(dir)?.as_deref())?;
    mark.set_len(0)
        .and_then(|()| mark.write_all(format!("{}\n", settings.name).as_bytes()))
        .and_then(|()| mark.sync_all())
        .map_err(failed)
}

/// Says whether [`own`] would succeed, and changes nothing.
pub(super) fn check(dir: &Path, settings: &DestinationSettings) -> Result<(), Reply> {
    refuse_strangers(dir, settings, owner(dir)?.as_deref())
}

/// Whose files lie in a directory, as the mark in it says.
fn owner(dir: &Path) -> Result<Option<String>, Reply> {
    let mark = dir.join(OWNER_MARK);
    match fs::read_to_string(&mark) {
        // Whoever made it was killed before it said all it had to say.
        Ok(name) if !name.ends_with('\n') => Ok(None),
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
