//! File system calls that stay below a directory.
//!
//! Whoever drops files into the directory may also make links in it, and this process may read and write more than they may.
//! So every path is walked from the root part by part, and no part may be a symbolic link: what is reached lies below the
//! root, whatever is renamed or linked meanwhile. (That the root itself is a link is the operator's business.)
//!
//! Plain blocking calls. Spelling was checked before: no part is empty, `.` or `..`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{ListedFile, Stat, listed_name};

/// Most names in one listing; a directory with more is refused rather than held in memory.
const NAMES_MAX: usize = 1_000_000;

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The system's word.
    System(Errno),
    /// A rule of ours.
    Rule(&'static str),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::System(errno)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::System(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }
}

/// The regular files in the root.
pub(super) fn list(root: &Path) -> Result<Vec<ListedFile>, Failure> {
    let dir = open_root(root)?;
    let mut files = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            continue;
        }
        match rustix::fs::statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => {
                if let Some(stat) = file_stat(&found) {
                    files.push(ListedFile {
                        name: listed_name(bytes),
                        stat,
                    });
                }
            }
            Err(Errno::NOENT) => {} // gone between the name and the look
            Err(errno) => return Err(errno.into()),
        }
        if files.len() > NAMES_MAX {
            return Err(Failure::Rule("more than 1,000,000 files; move some away"));
        }
    }
    Ok(files)
}

/// Size and mtime of a regular file, or `None` if nothing is there.
pub(super) fn stat(root: &Path, path: &str) -> Result<Option<Stat>, Failure> {
    let found =
        parent(root, path).and_then(|(dir, name)| Ok(rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?));
    match found {
        Ok(found) => file_stat(&found).map(Some).ok_or(Failure::System(Errno::EXIST)),
        Err(Failure::System(Errno::NOENT | Errno::NOTDIR)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Opens a regular file for reading.
pub(super) fn open(root: &Path, path: &str) -> Result<File, Failure> {
    let (dir, name) = parent(root, path)?;
    // Without NONBLOCK, opening a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&dir, name, flags, Mode::empty())?;
    match file_stat(&rustix::fs::fstat(&file)?) {
        Some(_) => Ok(File::from(file)),
        None => Err(Failure::Rule("it is no regular file")),
    }
}

/// Renames, never over another; on disk when it returns.
pub(super) fn rename(root: &Path, from: &str, to: &str) -> Result<(), Failure> {
    let (from_dir, from_name) = parent(root, from)?;
    let (to_dir, to_name) = match parent(root, to) {
        Err(Failure::System(Errno::NOENT | Errno::NOTDIR)) => {
            return Err(Failure::Rule("the target's directory is not there"));
        }
        found => found?,
    };
    match rustix::fs::renameat_with(&from_dir, from_name, &to_dir, to_name, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // File systems without it (NFS, some FUSE): a second name fails on an existing target as well. Between the two
        // calls the file has both names, which the caller's journal knows how to finish.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(&from_dir, from_name, &to_dir, to_name, AtFlags::empty())?;
            rustix::fs::unlinkat(&from_dir, from_name, AtFlags::empty())?;
        }
        Err(errno) => return Err(errno.into()),
    }
    sync_dir(&to_dir)?;
    sync_dir(&from_dir)
}

/// Removes a file.
pub(super) fn remove(root: &Path, path: &str) -> Result<(), Failure> {
    let (dir, name) = parent(root, path)?;
    rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
    sync_dir(&dir)
}

/// Creates a directory and its parents.
pub(super) fn make_dirs(root: &Path, path: &str) -> Result<(), Failure> {
    let mut dir = open_root(root)?;
    for part in path.split('/') {
        match rustix::fs::mkdirat(&dir, part, Mode::from_raw_mode(0o777)) {
            Ok(()) => sync_dir(&dir)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        dir = step(&dir, part).map_err(|failure| match failure {
            Failure::System(Errno::NOTDIR) => Failure::Rule("a file of this name is in the way"),
            failure => failure,
        })?;
    }
    Ok(())
}

/// Writes beside the place, synced, then renames over what may be there.
pub(super) fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<(), Failure> {
    let (dir, name) = parent(root, path)?;
    let beside = super::beside(name);
    // Left behind by an attempt that was killed, perhaps; never opened, since it could lead anywhere.
    rustix::fs::unlinkat(&dir, &*beside, AtFlags::empty()).ok();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&dir, &*beside, flags, Mode::from_raw_mode(0o666))?);
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(Failure::from);
    let renamed = written.and_then(|()| Ok(rustix::fs::renameat(&dir, &*beside, &dir, name)?));
    if renamed.is_err() {
        // The error that counts is the first one.
        rustix::fs::unlinkat(&dir, &*beside, AtFlags::empty()).ok();
        return renamed;
    }
    sync_dir(&dir)
}

fn open_root(root: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}

/// The directory that a path's last part lies in, and that part.
fn parent<'a>(root: &Path, path: &'a str) -> Result<(OwnedFd, &'a str), Failure> {
    let mut dir = open_root(root)?;
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        dir = step(&dir, part)?;
    }
    Ok((dir, name))
}

/// One directory down, and never along a link.
fn step(dir: &OwnedFd, part: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, part, flags, Mode::empty()) {
        Ok(below) => Ok(below),
        // With DIRECTORY and NOFOLLOW a link is "not a directory", like a file: look which it was.
        Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => {
            let found = rustix::fs::statat(dir, part, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Symlink => Err(Failure::Rule("a symbolic link is on the way, and none is followed")),
                _ => Err(errno.into()),
            }
        }
        Err(errno) => Err(errno.into()),
    }
}

fn sync_dir(dir: &OwnedFd) -> Result<(), Failure> {
    match rustix::fs::fsync(dir) {
        // File systems whose directories cannot be synced say so; there is nothing more to be done.
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn file_stat(found: &rustix::fs::Stat) -> Option<Stat> {
    let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    #[allow(
        clippy::unnecessary_cast,
        reason = "of another type where the system is called by way of libc, as in tests"
    )]
    let nanos = found.st_mtime_nsec as i64;
    regular.then(|| Stat {
        size: found.st_size as u64,
        mtime: found.st_mtime * 1000 + nanos / 1_000_000,
    })
}
