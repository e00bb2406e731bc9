//! Events that are to go again: of an import that was undone, of somebody who is erased.
//!
//! A file holds events of one import alone, so that an undo removes files and rewrites none. For a person every file is looked
//! into; one that has events of theirs is written anew without them: beside under a name with a dot, synced, renamed, the
//! directory synced. The others are not touched. Killed meanwhile, it begins with the first file again, and finds nothing in
//! those that are done.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::temporaries::Error;
use super::{Files, names, ndjson};
use crate::destination::{Reply, of_io};
use crate::events::Batch;
use crate::ledger::Whom;
use crate::on_disk::sync_dir;

/// After this long the loop is given a chance to stop, and to be asked how it stands.
const LOOK_UP: Duration = Duration::from_millis(400);

/// The search for a person's events, file by file.
pub(super) struct Erasing {
    seq: i64,
    whom: Whom,
    /// Not looked into yet.
    files: VecDeque<PathBuf>,
}

/// What is left of a file without a person's events.
pub(super) enum Left {
    /// There are none of theirs in it.
    AsItWas,
    /// There are only theirs.
    Nothing,
    /// This is to take its place.
    File(Temporary),
}

/// A file that is to take another's place. If it does not, it is removed.
pub(super) struct Temporary {
    pub(super) path: PathBuf,
    kept: bool,
}

impl Temporary {
    /// An empty one for a file.
    pub(super) fn beside(path: &Path) -> Result<(Temporary, File), Error> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = path.with_file_name(names::temporary_name(name));
        let file = File::create(&path).map_err(|error| (path.clone(), error))?;
        Ok((Temporary { path, kept: false }, file))
    }

    /// Takes the file's place: on disk when this returns `Ok`.
    fn replace(mut self, path: &Path) -> Result<(), Error> {
        let replaced = File::open(&self.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.path, path));
        self.kept = replaced.is_ok();
        replaced.map_err(|error| (path.to_owned(), error))?;
        sync_day(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is swept at the next start.
            fs::remove_file(&self.path).ok();
        }
    }
}

impl Files {
    /// Removes the files of the import that a batch says was undone.
    pub(super) fn take_back(&mut self, batch: &Batch) -> Result<Reply, Reply> {
        self.writing = None;
        remove_all(&self.dir, &batch.key).map_err(failed)?;
        Ok(Reply::Durable(batch.end))
    }

    /// Takes a person's events out of the next files, and out of the last of them in the end.
    pub(super) fn forget(&mut self, batch: &Batch, whom: &Whom) -> Result<Reply, Reply> {
        self.writing = None;
        let began = Instant::now();
        let mut erasing = match self.erasing.take() {
            Some(erasing) if erasing.seq == batch.import.seq && erasing.whom == *whom => erasing,
            _ => Erasing {
                seq: batch.import.seq,
                whom: whom.clone(),
                files: names::files(&self.dir)
                    .map_err(|error| of_io(&format!("looking through `{}`", self.dir.display()), &error))?
                    .into(),
            },
        };
        while let Some(path) = erasing.files.pop_front() {
            self.forget_in(&path, whom).map_err(failed)?;
            if began.elapsed() >= LOOK_UP {
                self.erasing = Some(erasing);
                return Ok(Reply::Underway);
            }
        }
        Ok(Reply::Durable(batch.end))
    }

    fn forget_in(&self, path: &Path, whom: &Whom) -> Result<(), Error> {
        let left = match names::is_parquet(path) {
            #[cfg(feature = "parquet")]
            true => super::parquet::without(path, whom, self.zstd_level)?,
            #[cfg(not(feature = "parquet"))]
            true => {
                return Err((
                    path.to_owned(),
                    io::Error::other("this program was built without Parquet"),
                ));
            }
            false => ndjson::without(path, whom, self.zstd_level)?,
        };
        match left {
            Left::AsItWas => Ok(()),
            Left::File(temporary) => temporary.replace(path),
            Left::Nothing => {
                fs::remove_file(path).map_err(|error| (path.to_owned(), error))?;
                sync_day(path)
            }
        }
    }
}

fn failed((path, error): Error) -> Reply {
    of_io(&format!("taking events out of `{}`", path.display()), &error)
}

fn remove_all(dir: &Path, key: &str) -> Result<(), Error> {
    let days = names::days(dir).map_err(|error| (dir.to_owned(), error))?;
    for day in days {
        let day = dir.join(day);
        let files = names::left_over(&day, key, &HashSet::new());
        for path in &files {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((path.clone(), error)),
                _ => {}
            }
        }
        if !files.is_empty() {
            sync_dir(&day).map_err(|error| (day, error))?;
        }
    }
    Ok(())
}

fn sync_day(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(day) => sync_dir(day).map_err(|error| (day.to_owned(), error)),
        None => Ok(()),
    }
}
