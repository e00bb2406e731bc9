//! Names and attributes, as replies carry them.

use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use russh_sftp::protocol::{File, FileAttributes};

/// The names in a directory, `.` and `..` first, read as they are asked for: it may hold a hundred thousand.
pub(super) struct Names {
    dir: PathBuf,
    dots: std::array::IntoIter<&'static str, 2>,
    rest: ReadDir,
}

impl Names {
    pub(super) fn of(dir: &Path) -> io::Result<Names> {
        Ok(Names {
            dir: dir.to_owned(),
            dots: [".", ".."].into_iter(),
            rest: fs::read_dir(dir)?,
        })
    }

    /// The next names, at most `count`; none at the end.
    pub(super) fn next(&mut self, count: usize) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        while files.len() < count {
            // `..` has the attributes of the directory itself: what lies above it is nobody's business.
            let (name, found) = match self.dots.next() {
                Some(dot) => (dot.to_owned(), fs::metadata(&self.dir)),
                None => match self.rest.next() {
                    Some(entry) => {
                        let entry = entry?;
                        (entry.file_name().to_string_lossy().into_owned(), entry.metadata())
                    }
                    None => break,
                },
            };
            match found {
                Ok(found) => files.push(named(name, &found)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // gone meanwhile
                Err(e) => return Err(e),
            }
        }
        Ok(files)
    }
}

/// A name without attributes, for `REALPATH`.
pub(super) fn bare(name: String) -> File {
    File {
        longname: name.clone(),
        filename: name,
        attrs: FileAttributes::empty(),
    }
}

fn named(name: String, found: &Metadata) -> File {
    let attrs = attributes(found);
    File {
        longname: long(&name, found, &attrs),
        filename: name,
        attrs,
    }
}

/// What the protocol can say of a file.
pub(super) fn attributes(found: &Metadata) -> FileAttributes {
    FileAttributes {
        size: Some(found.len()),
        uid: Some(found.uid()),
        gid: Some(found.gid()),
        permissions: Some(found.mode()),
        atime: Some(seconds(found.atime())),
        mtime: Some(seconds(found.mtime())),
        ..FileAttributes::empty()
    }
}

/// Version 3 has 32 bits for a time.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// The line of `ls -l`, which OpenSSH's client prints as it comes.
fn long(name: &str, found: &Metadata, attrs: &FileAttributes) -> String {
    let kind = match () {
        () if found.is_dir() => 'd',
        () if found.is_symlink() => 'l',
        () if found.is_file() => '-',
        () => '?',
    };
    let changed = DateTime::<Utc>::from_timestamp(found.mtime(), 0).unwrap_or_default();
    format!(
        "{kind}{} {:>4} {:<8} {:<8} {:>10} {} {name}",
        attrs.permissions(),
        found.nlink(),
        found.uid(),
        found.gid(),
        found.len(),
        changed.format("%b %e %H:%M"),
    )
}
