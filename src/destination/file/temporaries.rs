//! The files of one import while they are written: temporaries that all get their names at the end, or none does.
//!
//! Whatever their form, files come to be in the same way: written beside under a name with a dot, synced, renamed when all of
//! them are written, and the directories synced. What an earlier attempt at the same import left under other names (it had
//! more files, or they were of another form) goes before that, so that no event is there twice.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names;
use crate::on_disk::{self, sync_dir};

/// What went wrong, and with which file or directory.
pub(super) type Error = (PathBuf, io::Error);

/// The files of one import, under their temporary names until they are kept.
pub(super) struct Temporaries {
    dir: PathBuf,
    key: String,
    files: Vec<Temporary>,
    /// What no file comes of.
    asides: Vec<PathBuf>,
}

struct Temporary {
    day: String,
    temporary: PathBuf,
    name: PathBuf,
}

impl Temporaries {
    /// No file yet.
    pub(super) fn new(dir: &Path, key: &str) -> Temporaries {
        Temporaries {
            dir: dir.to_owned(),
            key: key.to_owned(),
            files: Vec::new(),
            asides: Vec::new(),
        }
    }

    /// The destination's directory.
    #[cfg(feature = "parquet")]
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// An empty file for a day, its so many-th, and where it lies.
    pub(super) fn begin(&mut self, day: &str, number: usize, ending: &str) -> Result<(PathBuf, File), Error> {
        let dir = self.dir.join(day);
        make_day(&dir).map_err(|error| (dir.clone(), error))?;
        let name = names::file_name(&self.key, number, ending);
        let temporary = dir.join(names::temporary_name(&name));
        let file = File::create(&temporary).map_err(|error| (temporary.clone(), error))?;
        self.files.push(Temporary {
            day: day.to_owned(),
            temporary: temporary.clone(),
            name: dir.join(name),
        });
        Ok((temporary, file))
    }

    /// An empty file for what is set aside of a day while the import is written. It is gone when the others are kept.
    #[cfg(feature = "parquet")]
    pub(super) fn set_aside(&mut self, day: &str) -> Result<PathBuf, Error> {
        let dir = self.dir.join(day);
        make_day(&dir).map_err(|error| (dir.clone(), error))?;
        let path = dir.join(names::temporary_name(&names::file_name(&self.key, 1, names::ASIDE)));
        File::create(&path).map_err(|error| (path.clone(), error))?;
        self.asides.push(path.clone());
        Ok(path)
    }

    /// Syncs every file and gives each its name; then they are there for good, names and all. They are written and closed by
    /// now. `everywhere` looks for an earlier attempt's files in all days, and not only in those that there are files for now.
    pub(super) fn keep(mut self, everywhere: bool) -> Result<(), Error> {
        // An import that nothing is delivered of may be one that cannot be read any more: what is there of it stays.
        if self.files.is_empty() {
            return Ok(());
        }
        for file in &self.files {
            let path = &file.temporary;
            // Opened anew, since most were closed before their time.
            File::open(path)
                .and_then(|file| file.sync_all())
                .map_err(|error| (path.clone(), error))?;
        }
        let mut files = std::mem::take(&mut self.files);
        files.sort_by(|one, other| one.name.cmp(&other.name));
        let renamed = self.rename(&files, everywhere);
        // What could not be renamed goes with the others.
        self.files = files;
        renamed
    }

    fn rename(&self, files: &[Temporary], everywhere: bool) -> Result<(), Error> {
        let mut days: BTreeSet<String> = files.iter().map(|file| file.day.clone()).collect();
        self.remove_left_over(files, &days, everywhere)?;
        for file in files {
            fs::rename(&file.temporary, &file.name).map_err(|error| (file.name.clone(), error))?;
        }
        while let Some(day) = days.pop_first() {
            let path = self.dir.join(day);
            sync_dir(&path).map_err(|error| (path, error))?;
        }
        Ok(())
    }

    fn remove_left_over(&self, files: &[Temporary], days: &BTreeSet<String>, everywhere: bool) -> Result<(), Error> {
        let kept: HashSet<PathBuf> = files.iter().map(|file| file.name.clone()).collect();
        let mut looked_at = days.clone();
        if everywhere {
            looked_at.extend(names::days(&self.dir).map_err(|error| (self.dir.clone(), error))?);
        }
        for day in &looked_at {
            let dir = self.dir.join(day);
            let left_over = names::left_over(&dir, &self.key, &kept);
            for path in &left_over {
                fs::remove_file(path).map_err(|error| (path.clone(), error))?;
            }
            if !left_over.is_empty() && !days.contains(day) {
                sync_dir(&dir).map_err(|error| (dir, error))?;
            }
        }
        Ok(())
    }
}

impl Drop for Temporaries {
    fn drop(&mut self) {
        for path in self.files.iter().map(|file| &file.temporary).chain(&self.asides) {
            // Those that were kept have another name by now; what stays is swept at the next start.
            fs::remove_file(path).ok();
        }
    }
}

/// Makes a day's directory, on disk when this returns `Ok`. The name of one that is there was brought to disk when the
/// destination was opened, if not before.
fn make_day(dir: &Path) -> io::Result<()> {
    match dir.is_dir() {
        true => Ok(()),
        false => on_disk::make_dir(dir),
    }
}
