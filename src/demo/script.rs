//! Faults on demand: what a test may do to each request. Without a script the server never asks.

use std::time::Duration;

use russh_sftp::extensions;
use russh_sftp::protocol::{Extended, Packet};

pub use russh_sftp::protocol::StatusCode;

use super::files::{Files, POSIX_RENAME, Rename, body};
use super::paths::absolute;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// `SSH_FXP_INIT`: the first packet of a session.
    Init,
    /// Open a file.
    Open,
    /// Close a file or a directory.
    Close,
    /// Read from a file.
    Read,
    /// Write into a file.
    Write,
    /// Attributes of a path or of an open file; symbolic links followed or not.
    Stat,
    /// Set attributes of a path or of an open file.
    SetStat,
    /// Open a directory.
    OpenDir,
    /// Read names of a directory.
    ReadDir,
    /// Remove a file.
    Remove,
    /// Create a directory.
    MkDir,
    /// Remove a directory.
    RmDir,
    /// Where a path leads.
    RealPath,
    /// Rename, never over another.
    Rename,
    /// Rename over what may be there (`posix-rename@openssh.com`).
    PosixRename,
    /// Sync an open file (`fsync@openssh.com`).
    Fsync,
    /// What the server can take (`limits@openssh.com`).
    Limits,
    /// Anything else.
    Other,
}

/// One request, as a script sees it and a journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub op: Op,
    /// On what: the path as the client has it, but absolute; for an open file or directory, the path it was opened with.
    pub path: String,
    /// Where to, of a rename.
    pub to: Option<String>,
    /// From which byte, of a read or a write.
    pub offset: Option<u64>,
}

/// Something that goes wrong with one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Not carried out; answered with this status.
    Answer(StatusCode),
    /// Carried out; the reply comes this much later, and later replies may overtake it, as they may on any network.
    Delay(Duration),
    /// Not carried out and never answered, nor is anything after it on this connection, which stays open: a server that hangs.
    Stall,
    /// Carried out, but this one reply never comes; everything else does.
    LoseReply,
    /// Not carried out; the connection is cut.
    CutBefore,
    /// Carried out; the connection is cut before the reply.
    CutAfter,
    /// Carried out, but a read gets at most this many bytes, which a server may always do.
    Short(u32),
    /// Carried out; the reply comes byte by byte, with so much time between two, and all others wait behind it.
    Drip(Duration),
    /// Not carried out; the answer is a packet of this type with the request's id and this body.
    Forged {
        /// The packet's type: 101 is STATUS, 103 DATA, 104 NAME.
        kind: u8,
        /// What follows the id.
        body: Vec<u8>,
        /// How much later it comes.
        after: Duration,
    },
    /// Carried out and answered; then packets of SSH that nobody asked for come without end.
    Flood,
    /// Not carried out; these bytes come in place of an answer.
    Rubbish(Vec<u8>),
}

/// Decides over every request of every client, in the order in which they are carried out. Called from several threads.
pub trait Script: Send + Sync {
    /// Sees a request before it is carried out, and says what goes wrong with it.
    fn judge(&self, request: &Request) -> Option<Fault>;
}

impl Request {
    fn new(op: Op, path: String) -> Request {
        Request {
            op,
            path,
            to: None,
            offset: None,
        }
    }

    /// What a packet asks for. `files` knows which path a handle stands for.
    pub(super) fn of(packet: &Packet, files: &Files) -> Request {
        let held = |op, handle: &str| Request::new(op, files.path_of(handle));
        let at = |op, path: &str| Request::new(op, absolute(path));
        match packet {
            Packet::Init(_) => Request::new(Op::Init, String::new()),
            Packet::Open(open) => at(Op::Open, &open.filename),
            Packet::Close(close) => held(Op::Close, &close.handle),
            Packet::Read(read) => Request {
                offset: Some(read.offset),
                ..held(Op::Read, &read.handle)
            },
            Packet::Write(write) => Request {
                offset: Some(write.offset),
                ..held(Op::Write, &write.handle)
            },
            Packet::Lstat(lstat) => at(Op::Stat, &lstat.path),
            Packet::Stat(stat) => at(Op::Stat, &stat.path),
            Packet::Fstat(fstat) => held(Op::Stat, &fstat.handle),
            Packet::SetStat(set) => at(Op::SetStat, &set.path),
            Packet::FSetStat(set) => held(Op::SetStat, &set.handle),
            Packet::OpenDir(dir) => at(Op::OpenDir, &dir.path),
            Packet::ReadDir(dir) => held(Op::ReadDir, &dir.handle),
            Packet::Remove(remove) => at(Op::Remove, &remove.filename),
            Packet::MkDir(dir) => at(Op::MkDir, &dir.path),
            Packet::RmDir(dir) => at(Op::RmDir, &dir.path),
            Packet::RealPath(real) => at(Op::RealPath, &real.path),
            Packet::Rename(rename) => Request {
                to: Some(absolute(&rename.newpath)),
                ..at(Op::Rename, &rename.oldpath)
            },
            Packet::Extended(extended) => Request::of_extension(extended, files),
            _ => Request::new(Op::Other, String::new()),
        }
    }

    fn of_extension(extended: &Extended, files: &Files) -> Request {
        let broken = |op| Request::new(op, String::new());
        match extended.request.as_str() {
            POSIX_RENAME => match body::<Rename>(extended) {
                Ok(rename) => Request {
                    to: Some(absolute(&rename.to)),
                    ..Request::new(Op::PosixRename, absolute(&rename.from))
                },
                Err(_) => broken(Op::PosixRename),
            },
            extensions::FSYNC => match body::<extensions::FsyncExtension>(extended) {
                Ok(fsync) => Request::new(Op::Fsync, files.path_of(&fsync.handle)),
                Err(_) => broken(Op::Fsync),
            },
            extensions::LIMITS => Request::new(Op::Limits, String::new()),
            _ => Request::new(Op::Other, String::new()),
        }
    }
}
