//! Downloaded archives on the local disk, by content, synced before the ledger hears of them.
//!
//! A large archive is a file of its own, named by its SHA-256. Small ones of a batch share one append-only segment, so that
//! a batch costs one sync and not hundreds. A spool file is written under a temporary name, synced, renamed, and its
//! directory synced; only then does anybody learn of it. Which files are still needed the ledger knows: the spool keeps no
//! list of its own, and what no import refers to is swept away now and then.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::hex::hex;
use crate::ledger::Stored;
use crate::on_disk;
use crate::source::{Source, SourceError};
use extent::Extent;
use pins::Pins;
use temporary::Temporary;

mod arriving;
mod extent;
mod pins;
mod rewriting;
mod slice;
mod temporary;

pub use arriving::{Arrivals, Arriving, arriving};
pub use pins::{Pin, Question};
pub use rewriting::{Rewriting, Scratch};
pub use slice::Slice;

/// Archives below this size, in bytes, share a segment.
const SEGMENT_ARCHIVE_BYTES_MAX: u64 = 256 * 1024;

/// Small archives read from the source at a time: enough to hide a round trip, few enough for any server's handles.
const SMALL_IN_FLIGHT: usize = 64;

/// Pieces of a large archive between the network and the disk. One is at most 1 MiB.
const PIECES_IN_FLIGHT: usize = 8;

/// The spool's directory.
#[derive(Clone)]
pub struct Spool {
    dir: PathBuf,
    /// Files that somebody is about to close an import on, and how many: retention must not take them away meanwhile.
    pins: Pins,
    /// How far the ledger had got that these archives belong to.
    extent: Extent,
}

/// A file to be brought here.
pub struct Wanted {
    /// Its path on the source.
    pub path: String,
    /// Its size as listed, in bytes.
    pub size: u64,
    /// What is known of its bytes.
    pub known: Known,
}

/// What is known of an archive's bytes before it is downloaded.
pub enum Known {
    /// Nothing.
    Nothing,
    /// All of them.
    Whole(Vec<u8>),
    /// Its end: where the zip's directory lies.
    End(Vec<u8>),
    /// Its end, and somebody reads it while the rest arrives.
    Awaited(Arrivals),
}

/// An archive in the spool, on disk.
pub struct Spooled {
    /// Where it lies.
    pub stored: Stored,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Keeps it from being pruned until an import refers to it.
    pub pin: Pin,
}

/// Why an archive is not in the spool. Never the archive's fault.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The source did not give it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It became shorter while it was read.
    #[error("reading `{path}`: it ended after {got} of {expected} bytes; somebody is writing it")]
    Short {
        /// Its path on the source.
        path: String,
        /// Bytes listed.
        expected: u64,
        /// Bytes read.
        got: u64,
    },
    /// Its end is not what it was a moment before.
    #[error("reading `{path}`: its end changed meanwhile; somebody is writing it")]
    Changed {
        /// Its path on the source.
        path: String,
    },
    /// The local disk did not take it.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Spool {
    /// Opens the spool in `dir` that belongs to this ledger, and makes the directory if it is absent.
    ///
    /// A spool that belongs to another ledger (the ledger was lost, perhaps) is set aside, and nothing of it is touched: what
    /// it holds may be the only copies left. Answers with where it is then.
    pub fn open(dir: &Path, ledger: &str) -> io::Result<(Spool, Option<PathBuf>)> {
        let marker = dir.with_extension("ledger");
        let belongs_to = match fs::read_to_string(&marker) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut set_aside = None;
        if belongs_to != ledger {
            if dir.exists() && fs::read_dir(dir)?.next().is_some() {
                let aside = dir.with_extension(format!("lost-{:08x}", fastrand::u32(..)));
                fs::rename(dir, &aside)?;
                set_aside = Some(aside);
            }
            Extent::forget(dir)?;
            // Before the first archive comes: a spool without its mark would be taken for another ledger's.
            on_disk::write(&marker, format!("{ledger}\n").as_bytes())?;
        }
        // People's data, in a state directory that others may be allowed to look into: for nobody else's eyes.
        on_disk::make_dir_with_mode(dir, 0o700)?;
        let spool = Spool {
            dir: dir.to_owned(),
            pins: Pins::default(),
            extent: Extent::open(dir)?,
        };
        Ok((spool, set_aside))
    }

    /// Whether it was used with a later state of its ledger than this, whose last import was closed as number `seq`: the
    /// ledger was put back from a backup, or lost what it wrote last.
    pub fn is_ahead_of(&self, seq: i64) -> bool {
        self.extent.reached() > seq
    }

    /// Notes that the ledger has closed import number `seq`.
    pub fn belongs_to(&self, seq: i64) -> io::Result<()> {
        self.extent.reach(seq)
    }

    /// Sets files aside that the ledger knows nothing of, and begins anew at its number `seq`. They may be the only copies of
    /// what an import took in that the ledger has forgotten. Answers with where they are then; `None`: there are none.
    pub fn set_aside(&self, files: &[String], seq: i64) -> io::Result<Option<PathBuf>> {
        let aside = self.dir.with_extension(format!("lost-{:08x}", fastrand::u32(..)));
        if !files.is_empty() {
            fs::DirBuilder::new().mode(0o700).create(&aside)?;
        }
        for file in files {
            fs::rename(self.dir.join(file), aside.join(file))?;
        }
        self.extent.begin_anew(seq)?;
        Ok((!files.is_empty()).then_some(aside))
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings a batch of files here, many at a time, and answers for each in the order given. What is `Ok` is on disk.
    pub async fn fetch(&self, source: &dyn Source, wanted: Vec<Wanted>) -> Vec<Result<Spooled, SpoolError>> {
        let small = wanted
            .iter()
            .filter(|file| file.size < SEGMENT_ARCHIVE_BYTES_MAX)
            .count();
        let mut spooled: Vec<Option<Result<Spooled, SpoolError>>> = wanted.iter().map(|_| None).collect();
        let mut for_segment = Vec::new();
        for (place, file) in wanted.into_iter().enumerate() {
            if small > 1 && file.size < SEGMENT_ARCHIVE_BYTES_MAX {
                for_segment.push((place, file));
            } else {
                spooled[place] = Some(self.fetch_alone(source, file).await);
            }
        }
        for (place, result) in self.fetch_segment(source, for_segment).await {
            spooled[place] = Some(result);
        }
        spooled.into_iter().flatten().collect()
    }

    /// One archive into a file of its own: the network on this side, hash and disk on a blocking thread.
    async fn fetch_alone(&self, source: &dyn Source, file: Wanted) -> Result<Spooled, SpoolError> {
        let (pieces, incoming) = mpsc::channel::<Vec<u8>>(PIECES_IN_FLIGHT);
        let spool = self.clone();
        let (path, size) = (file.path.clone(), file.size);
        let (whole, arrivals) = match file.known {
            Known::Whole(bytes) => (Some(bytes), None),
            Known::Awaited(arrivals) => (None, Some(arrivals)),
            Known::Nothing | Known::End(_) => (None, None),
        };
        let storing = tokio::task::spawn_blocking(move || spool.store(incoming, path, size, arrivals.as_ref()));
        let sent = match whole {
            Some(bytes) => {
                let length = bytes.len() as u64;
                // A receiver that is gone has met a full disk, and says so below.
                pieces.send(bytes).await.ok();
                drop(pieces);
                Ok(length)
            }
            None => source.fetch(&file.path, file.size, pieces).await,
        };
        let stored = storing
            .await
            .map_err(|_| disk("writing to the spool", io::Error::other("the writer stopped")))?;
        match sent {
            // Nobody took the pieces any more: the disk is the cause, and says so itself.
            Ok(_) | Err(SourceError::Stopped { .. }) => stored,
            Err(error) => Err(error.into()),
        }
    }

    /// Small archives into one segment, one sync for all.
    async fn fetch_segment(
        &self,
        source: &dyn Source,
        wanted: Vec<(usize, Wanted)>,
    ) -> Vec<(usize, Result<Spooled, SpoolError>)> {
        let read = stream::iter(wanted)
            .map(|(place, file)| async move {
                let bytes = match file.known {
                    Known::Whole(bytes) => Ok(bytes),
                    _ => source
                        .read(&file.path, 0, file.size as usize)
                        .await
                        .map_err(SpoolError::from),
                };
                let bytes = bytes.and_then(|bytes| match bytes.len() as u64 {
                    got if got == file.size => Ok(bytes),
                    got => Err(SpoolError::Short {
                        path: file.path,
                        expected: file.size,
                        got,
                    }),
                });
                (place, bytes)
            })
            .buffered(SMALL_IN_FLIGHT)
            .collect::<Vec<_>>()
            .await;
        if !read.iter().any(|(_, bytes)| bytes.is_ok()) {
            return read
                .into_iter()
                .filter_map(|(place, bytes)| Some((place, Err(bytes.err()?))))
                .collect();
        }
        let spool = self.clone();
        let places: Vec<usize> = read.iter().map(|(place, _)| *place).collect();
        let stored = tokio::task::spawn_blocking(move || spool.store_segment(read)).await;
        stored.unwrap_or_else(|_| {
            let stopped = || disk("writing to the spool", io::Error::other("the writer stopped"));
            places.into_iter().map(|place| (place, Err(stopped()))).collect()
        })
    }

    /// Writes what comes in to a file named by its hash. What ends early, whoever ended it, is not kept: nobody would ever
    /// ask for it, and each further attempt would leave another piece.
    fn store(
        &self,
        mut incoming: mpsc::Receiver<Vec<u8>>,
        path: String,
        size: u64,
        arrivals: Option<&Arrivals>,
    ) -> Result<Spooled, SpoolError> {
        let mut temporary = Temporary::create(&self.dir)?;
        if let Some(arrivals) = arrivals {
            arrivals.begin(temporary.reader()?);
        }
        let mut hash = Sha256::new();
        let mut len = 0;
        while let Some(piece) = incoming.blocking_recv() {
            temporary.write(&piece)?;
            let offset = len;
            len += piece.len() as u64;
            if let Some(arrivals) = arrivals {
                if !arrivals.foretold(offset, &piece, size) {
                    return Err(SpoolError::Changed { path });
                }
                arrivals.have(len);
            }
            hash.update(&piece);
        }
        if len != size {
            return Err(SpoolError::Short {
                path,
                expected: size,
                got: len,
            });
        }
        let sha256: [u8; 32] = hash.finalize().into();
        let ending = if path.ends_with(".json") { "json" } else { "zip" };
        let name = format!("{}.{ending}", hex(&sha256));
        let pin = self.pins.pin(&name);
        temporary.keep(&name)?;
        Ok(Spooled {
            stored: Stored {
                file: name,
                offset: 0,
                len,
            },
            sha256,
            pin,
        })
    }

    /// Writes several archives one behind the other to a file named by the hash of all.
    fn store_segment(
        &self,
        read: Vec<(usize, Result<Vec<u8>, SpoolError>)>,
    ) -> Vec<(usize, Result<Spooled, SpoolError>)> {
        let mut whole = Sha256::new();
        for (_, bytes) in &read {
            whole.update(bytes.as_deref().unwrap_or_default());
        }
        let name = format!("{}.seg", hex(&whole.finalize()));
        let pin = self.pins.pin(&name);
        let written = Temporary::create(&self.dir).and_then(|mut temporary| {
            for (_, bytes) in &read {
                temporary.write(bytes.as_deref().unwrap_or_default())?;
            }
            temporary.keep(&name)
        });
        let mut offset = 0;
        let mut spooled = Vec::with_capacity(read.len());
        for (place, bytes) in read {
            let result = match (&written, bytes) {
                (_, Err(error)) => Err(error),
                (Err(error), Ok(_)) => Err(error.again()),
                (Ok(()), Ok(bytes)) => {
                    let len = bytes.len() as u64;
                    let stored = Stored {
                        file: name.clone(),
                        offset,
                        len,
                    };
                    offset += len;
                    Ok(Spooled {
                        stored,
                        sha256: Sha256::digest(&bytes).into(),
                        pin: self.pins.pin(&name),
                    })
                }
            };
            spooled.push((place, result));
        }
        drop(pin);
        spooled
    }

    /// Begins to ask which files may go. Ask first, the ledger second, and remove with the question in hand.
    pub fn ask(&self) -> Question {
        self.pins.ask()
    }

    /// Removes a file that no import referred to when the ledger was asked, unless somebody is about to, or was since the
    /// question. Returns whether it is gone; what is spared in vain is swept later.
    pub fn remove(&self, file: &str, question: &Question) -> io::Result<bool> {
        let removed = question.unless_pinned(file, || fs::remove_file(self.dir.join(file)));
        match removed {
            None => Ok(false),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Some(_) => Ok(true),
        }
    }

    /// The spool files there are, whether or not an import refers to them: fetched, and left when the connection or the program
    /// ended before the ledger heard of it. There may be a million.
    pub fn files(&self) -> io::Result<impl Iterator<Item = io::Result<String>> + Send + use<>> {
        let name = |found: io::Result<fs::DirEntry>| match found {
            Ok(found) => found
                .file_name()
                .into_string()
                .ok()
                .filter(|name| is_ours(name))
                .map(Ok),
            Err(error) => Some(Err(error)),
        };
        Ok(fs::read_dir(&self.dir)?.filter_map(name))
    }

    /// Removes what was being written when the program was killed. Only at the start: later, somebody may be writing.
    pub fn sweep_unfinished(&self) -> io::Result<usize> {
        let mut removed = 0;
        for found in fs::read_dir(&self.dir)? {
            let found = found?;
            if found.file_name().to_str().is_some_and(Temporary::is_name) {
                fs::remove_file(found.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl SpoolError {
    /// The same trouble once more, for the next archive of a segment that could not be written.
    fn again(&self) -> SpoolError {
        match self {
            SpoolError::Disk { doing, source } => disk(doing, io::Error::new(source.kind(), source.to_string())),
            other => disk("writing to the spool", io::Error::other(other.to_string())),
        }
    }
}

fn is_ours(name: &str) -> bool {
    [".zip", ".json", ".seg"].iter().any(|ending| name.ends_with(ending))
}

fn disk(doing: impl Into<String>, source: io::Error) -> SpoolError {
    SpoolError::Disk {
        doing: doing.into(),
        source,
    }
}
