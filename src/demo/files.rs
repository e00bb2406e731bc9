//! What a client's requests do within the account's directory.
//!
//! Plain synchronous code: a request packet goes in, a reply packet comes out. Where the protocol leaves a choice, the
//! server does as OpenSSH's `sftp-server` does, since that is what the daemon meets elsewhere: a rename refuses an existing
//! target, and errors map to the same status codes. Links cannot be made here.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use russh_sftp::protocol::{
    Attrs, Data, Extended, ExtendedReply, FileAttributes, Handle, Name, OpenFlags, Packet, StatusCode, Version,
};
use russh_sftp::{de, extensions, ser};
use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use serde::Deserialize;
use tokio_util::bytes::Bytes;

use super::listing;
use super::paths::{Root, absolute};

/// Largest packet, in bytes, either way; OpenSSH's `SFTP_MAX_MSG_LENGTH`.
pub(super) const PACKET_BYTES_MAX: u32 = 256 * 1024;
/// Most bytes to a read or a write: a packet less some room for its head.
const DATA_BYTES_MAX: u32 = PACKET_BYTES_MAX - 1024;
/// Most files and directories that one session holds open.
const HANDLES_MAX: usize = 256;
/// Most names in one reply to `READDIR`.
const NAMES_MAX: usize = 100;

/// The extension that renames over what may be there.
pub(super) const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// One session's view of an account's directory, and what it holds open there.
pub(super) struct Files {
    root: Root,
    open: HashMap<String, Open>,
    opened: u64,
}

/// Something held open.
enum Open {
    File { path: String, file: File, append: bool },
    Dir { path: String, names: listing::Names },
}

impl Open {
    fn path(&self) -> &str {
        match self {
            Open::File { path, .. } | Open::Dir { path, .. } => path,
        }
    }
}

/// Why a request was not carried out: the status in the reply.
pub(super) type Refusal = StatusCode;
pub(super) type Answer<T> = Result<T, Refusal>;

/// The body of a `posix-rename@openssh.com`.
#[derive(Deserialize)]
pub(super) struct Rename {
    pub(super) from: String,
    pub(super) to: String,
}

impl Files {
    /// Nothing is open yet.
    pub(super) fn new(root: Root) -> Files {
        Files {
            root,
            open: HashMap::new(),
            opened: 0,
        }
    }

    /// Carries a request out, and says what came of it. A read gives at most `data_max` bytes.
    pub(super) fn answer(&mut self, packet: Packet, data_max: u32) -> Packet {
        let id = packet.get_request_id();
        self.carry_out(packet, data_max)
            .unwrap_or_else(|status| Packet::error(id, status))
    }

    fn carry_out(&mut self, packet: Packet, data_max: u32) -> Answer<Packet> {
        let id = packet.get_request_id();
        let done = |()| Packet::error(id, StatusCode::Ok);
        let handle = |handle| Packet::Handle(Handle { id, handle });
        let attrs = |attrs| Packet::Attrs(Attrs { id, attrs });
        match packet {
            Packet::Init(_) => Ok(Packet::Version(version())),
            Packet::Open(open) => self.open_file(&open.filename, open.pflags, &open.attrs).map(handle),
            Packet::Close(close) => self
                .open
                .remove(&close.handle)
                .map(|_| done(()))
                .ok_or(StatusCode::Failure),
            Packet::Read(read) => {
                let len = read.len.min(data_max).min(DATA_BYTES_MAX);
                let data = read_at(self.file(&read.handle)?.0, read.offset, len)?;
                Ok(Packet::Data(Data { id, data }))
            }
            Packet::Write(write) => self.write(&write.handle, write.offset, &write.data).map(done),
            Packet::Lstat(lstat) => self.lstat(&lstat.path).map(attrs),
            Packet::Stat(stat) => self.stat(&stat.path).map(attrs),
            Packet::Fstat(fstat) => self.fstat(&fstat.handle).map(attrs),
            Packet::SetStat(set) => self.set_stat(&set.path, &set.attrs).map(done),
            Packet::FSetStat(set) => {
                let path = self.held(&set.handle)?.path().to_owned();
                self.set_stat(&path, &set.attrs).map(done)
            }
            Packet::OpenDir(dir) => self.open_dir(&dir.path).map(handle),
            Packet::ReadDir(dir) => {
                let files = self.read_dir(&dir.handle)?;
                Ok(Packet::Name(Name { id, files }))
            }
            Packet::Remove(remove) => self.remove(&remove.filename).map(done),
            Packet::MkDir(dir) => self.make_dir(&dir.path, &dir.attrs).map(done),
            Packet::RmDir(dir) => fs::remove_dir(self.locate(&dir.path)?).map(done).map_err(refusal),
            Packet::RealPath(real) => {
                let files = vec![listing::bare(absolute(&real.path))];
                Ok(Packet::Name(Name { id, files }))
            }
            Packet::Rename(rename) => self.rename(&rename.oldpath, &rename.newpath).map(done),
            Packet::Extended(extended) => self.extended(extended),
            _ => Err(StatusCode::OpUnsupported),
        }
    }

    /// The path that something held open was opened with; empty if nothing is held by this handle.
    pub(super) fn path_of(&self, handle: &str) -> String {
        self.open
            .get(handle)
            .map_or_else(String::new, |open| open.path().to_owned())
    }

    fn open_file(&mut self, path: &str, flags: OpenFlags, attrs: &FileAttributes) -> Answer<String> {
        // A pipe would hold the session up, and a link that appeared meanwhile would lead out.
        let guard = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file = OpenOptions::from(flags)
            .mode(attrs.permissions.unwrap_or(0o644) & 0o777)
            .custom_flags(guard.bits() as i32)
            .open(self.root.follow(path).map_err(refusal)?)
            .map_err(refusal)?;
        if !file.metadata().map_err(refusal)?.is_file() {
            return Err(StatusCode::Failure);
        }
        self.hold(Open::File {
            path: absolute(path),
            file,
            append: flags.contains(OpenFlags::APPEND),
        })
    }

    fn open_dir(&mut self, path: &str) -> Answer<String> {
        let names = listing::Names::of(&self.root.follow(path).map_err(refusal)?).map_err(refusal)?;
        self.hold(Open::Dir {
            path: absolute(path),
            names,
        })
    }

    fn hold(&mut self, open: Open) -> Answer<String> {
        if self.open.len() == HANDLES_MAX {
            return Err(StatusCode::Failure);
        }
        self.opened += 1;
        let handle = self.opened.to_string();
        self.open.insert(handle.clone(), open);
        Ok(handle)
    }

    fn held(&self, handle: &str) -> Answer<&Open> {
        self.open.get(handle).ok_or(StatusCode::Failure)
    }

    fn file(&self, handle: &str) -> Answer<(&File, bool)> {
        match self.held(handle)? {
            Open::File { file, append, .. } => Ok((file, *append)),
            Open::Dir { .. } => Err(StatusCode::Failure),
        }
    }

    fn write(&self, handle: &str, offset: u64, data: &[u8]) -> Answer<()> {
        let (mut file, append) = self.file(handle)?;
        match append {
            true => io::Write::write_all(&mut file, data),
            false => file.write_all_at(data, offset),
        }
        .map_err(refusal)
    }

    fn read_dir(&mut self, handle: &str) -> Answer<Vec<russh_sftp::protocol::File>> {
        let Some(Open::Dir { names, .. }) = self.open.get_mut(handle) else {
            return Err(StatusCode::Failure);
        };
        let files = names.next(NAMES_MAX).map_err(refusal)?;
        match files.is_empty() {
            true => Err(StatusCode::Eof),
            false => Ok(files),
        }
    }

    fn locate(&self, path: &str) -> Answer<std::path::PathBuf> {
        self.root.locate(path).map_err(refusal)
    }

    fn lstat(&self, path: &str) -> Answer<FileAttributes> {
        let found = fs::symlink_metadata(self.locate(path)?).map_err(refusal)?;
        Ok(listing::attributes(&found))
    }

    fn stat(&self, path: &str) -> Answer<FileAttributes> {
        let found = fs::symlink_metadata(self.root.follow(path).map_err(refusal)?).map_err(refusal)?;
        Ok(listing::attributes(&found))
    }

    fn fstat(&self, handle: &str) -> Answer<FileAttributes> {
        match self.held(handle)? {
            Open::File { file, .. } => Ok(listing::attributes(&file.metadata().map_err(refusal)?)),
            Open::Dir { path, .. } => self.stat(path),
        }
    }

    /// Size, permissions and times. Owners are let be, as whoever tries the demo is seldom root.
    fn set_stat(&self, path: &str, attrs: &FileAttributes) -> Answer<()> {
        let path = self.root.follow(path).map_err(refusal)?;
        set_stat(&path, attrs).map_err(refusal)
    }

    fn remove(&self, path: &str) -> Answer<()> {
        let path = self.locate(path)?;
        if path.is_dir() && !path.is_symlink() {
            return Err(StatusCode::Failure);
        }
        fs::remove_file(path).map_err(refusal)
    }

    fn make_dir(&self, path: &str, attrs: &FileAttributes) -> Answer<()> {
        let mode = attrs.permissions.unwrap_or(0o755) & 0o777;
        DirBuilder::new().mode(mode).create(self.locate(path)?).map_err(refusal)
    }

    fn rename(&self, from: &str, to: &str) -> Answer<()> {
        let (from, to) = (self.locate(from)?, self.locate(to)?);
        rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE).map_err(|e| refusal(e.into()))
    }

    fn extended(&mut self, extended: Extended) -> Answer<Packet> {
        let id = extended.id;
        let done = |()| Packet::error(id, StatusCode::Ok);
        match extended.request.as_str() {
            POSIX_RENAME => {
                let rename: Rename = body(&extended)?;
                fs::rename(self.locate(&rename.from)?, self.locate(&rename.to)?)
                    .map(done)
                    .map_err(refusal)
            }
            extensions::FSYNC => {
                let fsync: extensions::FsyncExtension = body(&extended)?;
                self.file(&fsync.handle)?.0.sync_all().map(done).map_err(refusal)
            }
            extensions::LIMITS => {
                let data = ser::to_bytes(&limits()).map_err(|_| StatusCode::Failure)?.to_vec();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            _ => Err(StatusCode::OpUnsupported),
        }
    }
}

fn version() -> Version {
    let mut version = Version::new();
    for (name, revision) in [(POSIX_RENAME, "1"), (extensions::FSYNC, "1"), (extensions::LIMITS, "1")] {
        version.extensions.insert(name.to_owned(), revision.to_owned());
    }
    version
}

fn limits() -> extensions::LimitsExtension {
    extensions::LimitsExtension {
        max_packet_len: PACKET_BYTES_MAX.into(),
        max_read_len: DATA_BYTES_MAX.into(),
        max_write_len: DATA_BYTES_MAX.into(),
        max_open_handles: HANDLES_MAX as u64,
    }
}

/// What an extension's request carries.
pub(super) fn body<T: serde::de::DeserializeOwned>(extended: &Extended) -> Answer<T> {
    de::from_bytes(&mut Bytes::from(extended.data.clone())).map_err(|_| StatusCode::BadMessage)
}

fn read_at(file: &File, offset: u64, len: u32) -> Answer<Vec<u8>> {
    let mut data = vec![0; len as usize];
    let mut filled = 0;
    while filled < data.len() {
        match file.read_at(&mut data[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(refusal(e)),
        }
    }
    data.truncate(filled);
    match filled {
        0 => Err(StatusCode::Eof),
        _ => Ok(data),
    }
}

fn set_stat(path: &Path, attrs: &FileAttributes) -> io::Result<()> {
    if let Some(size) = attrs.size {
        OpenOptions::new().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = attrs.permissions {
        fs::set_permissions(path, Permissions::from_mode(mode & 0o777))?;
    }
    if let (Some(atime), Some(mtime)) = (attrs.atime, attrs.mtime) {
        let at = |seconds: u32| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: at(atime),
            last_modification: at(mtime),
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?;
    }
    Ok(())
}

/// The status for an error of this machine, as `errno_to_portable` of OpenSSH's `sftp-server` has it.
fn refusal(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NoSuchFile,
        _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => StatusCode::BadMessage,
        io::ErrorKind::Unsupported => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    }
}
