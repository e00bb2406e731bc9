//! Sorting more records than memory should hold: sorted chunks go to a temporary file, and are merged while they are read.
//!
//! The file has no name: it is unlinked as soon as it is made, and gone with whoever held it, however that ended.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;

/// Records of one archive up to so many bytes stay in memory: hundreds of small archives may be in one batch.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Memory of all chunks together while they are merged, in bytes, and what each has of it at least and at most.
const MERGE_BYTES: usize = 1024 * 1024;
const CHUNK_BUFFER_BYTES: (usize, usize) = (4 * 1024, 64 * 1024);

/// What a temporary file is called in the moment between being made and being unlinked.
const NAME: (&str, &str) = (".unique-", ".part");

/// Where chunks go that memory has no room for. It costs nothing until it is used.
#[derive(Debug)]
pub struct Spill {
    dir: PathBuf,
    used: Mutex<Option<Used>>,
}

#[derive(Debug)]
struct Used {
    file: Arc<File>,
    end: u64,
}

/// Where a chunk lies.
#[derive(Debug, Clone)]
struct Chunk {
    file: Arc<File>,
    from: u64,
    to: u64,
}

/// By where it is: what is in it belongs to those who put it there.
impl PartialEq for Spill {
    fn eq(&self, other: &Spill) -> bool {
        self.dir == other.dir
    }
}

impl Spill {
    /// In this directory, when it comes to that.
    pub fn new(dir: &Path) -> Spill {
        Spill {
            dir: dir.to_owned(),
            used: Mutex::new(None),
        }
    }

    /// Whether anything can be put there.
    pub fn is_usable(&self) -> bool {
        self.make().is_ok()
    }

    /// Removes what one that was killed just then left in the directory.
    pub fn sweep(dir: &Path) -> io::Result<()> {
        for entry in dir.read_dir()? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
                std::fs::remove_file(dir.join(&*name))?;
            }
        }
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<Chunk> {
        // Whoever panicked with it had written nothing that anybody knows of.
        let mut used = self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let used = match &mut *used {
            Some(used) => used,
            none => none.insert(Used {
                file: Arc::new(self.make().map_err(|error| self.explain(error))?),
                end: 0,
            }),
        };
        used.file
            .write_all_at(bytes, used.end)
            .map_err(|error| self.explain(error))?;
        let from = used.end;
        used.end += bytes.len() as u64;
        Ok(Chunk {
            file: Arc::clone(&used.file),
            from,
            to: used.end,
        })
    }

    fn make(&self) -> io::Result<File> {
        let path = self.dir.join(format!("{}{:016x}{}", NAME.0, fastrand::u64(..), NAME.1));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    fn explain(&self, error: io::Error) -> io::Error {
        let dir = self.dir.display();
        io::Error::new(
            error.kind(),
            format!("sorting unique keys in a temporary file in `{dir}` (is the disk full?): {error}"),
        )
    }
}

/// Takes records in any order.
#[derive(Debug)]
pub(super) struct Sorter<const N: usize> {
    spill: Arc<Spill>,
    recent: Vec<[u8; N]>,
    /// Most records in memory.
    recent_max: usize,
    chunks: Vec<Chunk>,
    len: u64,
}

impl<const N: usize> Sorter<N> {
    /// One that takes so many bytes of memory.
    pub fn new(spill: Arc<Spill>, bytes: usize) -> Sorter<N> {
        Sorter {
            spill,
            recent: Vec::new(),
            recent_max: (bytes / N).max(1),
            chunks: Vec::new(),
            len: 0,
        }
    }

    pub fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.recent.len() == self.recent_max {
            self.put_aside()?;
        }
        self.recent.push(record);
        self.len += 1;
        Ok(())
    }

    /// All of them, to be read in their order as often as is wanted.
    pub fn finish(mut self) -> io::Result<Sorted<N>> {
        if self.recent.len() * N > KEPT_BYTES_MAX {
            self.put_aside()?;
        }
        self.recent.sort_unstable();
        Ok(Sorted {
            kept: self.recent.into(),
            chunks: self.chunks.into(),
            len: self.len,
        })
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.recent.sort_unstable();
        self.chunks.push(self.spill.append(self.recent.as_flattened())?);
        self.recent.clear();
        Ok(())
    }
}

/// Records that were sorted. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sorted<const N: usize> {
    kept: Arc<[[u8; N]]>,
    chunks: Arc<[Chunk]>,
    len: u64,
}

impl<const N: usize> Sorted<N> {
    pub fn len(&self) -> u64 {
        self.len
    }
}

/// Records of several sorted lots in one order: by their first 16 bytes, then as the lots stand, then by what follows.
pub(super) struct Merged<const N: usize> {
    ahead: BinaryHeap<Head<N>>,
    inputs: Vec<Input<N>>,
}

/// The next record of an input.
#[derive(PartialEq, Eq)]
struct Head<const N: usize> {
    record: [u8; N],
    lot: usize,
    input: usize,
}

enum Input<const N: usize> {
    Kept {
        records: Arc<[[u8; N]]>,
        next: usize,
    },
    Chunk {
        chunk: Chunk,
        buffer: Vec<[u8; N]>,
        next: usize,
        buffer_records: usize,
    },
}

impl<const N: usize> Merged<N> {
    pub fn of(lots: &[&Sorted<N>]) -> io::Result<Merged<N>> {
        let chunks: usize = lots.iter().map(|lot| lot.chunks.len()).sum();
        let buffer = (MERGE_BYTES / chunks.max(1)).clamp(CHUNK_BUFFER_BYTES.0, CHUNK_BUFFER_BYTES.1);
        let mut inputs = Vec::new();
        let mut lot_of = Vec::new();
        for (lot, sorted) in lots.iter().enumerate() {
            for chunk in sorted.chunks.iter() {
                inputs.push(Input::Chunk {
                    chunk: chunk.clone(),
                    buffer: Vec::new(),
                    next: 0,
                    buffer_records: buffer / N,
                });
                lot_of.push(lot);
            }
            if !sorted.kept.is_empty() {
                inputs.push(Input::Kept {
                    records: Arc::clone(&sorted.kept),
                    next: 0,
                });
                lot_of.push(lot);
            }
        }
        let mut ahead = BinaryHeap::with_capacity(inputs.len());
        for (input, lot) in lot_of.into_iter().enumerate() {
            ahead.extend(inputs[input].next()?.map(|record| Head { record, lot, input }));
        }
        Ok(Merged { ahead, inputs })
    }

    /// The next record, and the number of the lot that it is from.
    pub fn next(&mut self) -> io::Result<Option<(usize, [u8; N])>> {
        let Some(mut first) = self.ahead.peek_mut() else {
            return Ok(None);
        };
        let found = (first.lot, first.record);
        match self.inputs[first.input].next()? {
            Some(record) => first.record = record,
            None => drop(std::collections::binary_heap::PeekMut::pop(first)),
        }
        Ok(Some(found))
    }
}

impl<const N: usize> Input<N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        let (records, next) = match self {
            Input::Kept { records, next } => (&**records, next),
            Input::Chunk {
                chunk,
                buffer,
                next,
                buffer_records,
            } => {
                if *next == buffer.len() {
                    let left = (chunk.to - chunk.from) / N as u64;
                    buffer.resize((*buffer_records).min(left as usize), [0; N]);
                    chunk.file.read_exact_at(buffer.as_flattened_mut(), chunk.from)?;
                    chunk.from += (buffer.len() * N) as u64;
                    *next = 0;
                }
                (&buffer[..], next)
            }
        };
        let record = records.get(*next).copied();
        *next += 1;
        Ok(record)
    }
}

impl<const N: usize> Ord for Head<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The other way round: the heap gives its largest first.
        let (mine, its) = (other, self);
        let key = |head: &Head<N>| head.record.first_chunk::<16>().copied();
        key(mine)
            .cmp(&key(its))
            .then(mine.lot.cmp(&its.lot))
            .then_with(|| mine.record.cmp(&its.record))
    }
}

impl<const N: usize> PartialOrd for Head<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: u64, rest: u32) -> [u8; 20] {
        let mut record = [0; 20];
        record[8..16].copy_from_slice(&key.to_be_bytes());
        record[16..].copy_from_slice(&rest.to_be_bytes());
        record
    }

    fn all(lots: &[&Sorted<20>]) -> Vec<(usize, [u8; 20])> {
        let mut merged = Merged::of(lots).expect("read");
        std::iter::from_fn(|| merged.next().expect("read")).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_whatever_the_memory() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut dice = fastrand::Rng::with_seed(7);
        for (count, bytes) in [
            (0, 400),
            (1, 1),
            (19, 400),
            (20, 400),
            (21, 400),
            (5_000, 400),
            (5_000, 1 << 20),
        ] {
            let spill = Arc::new(Spill::new(dir.path()));
            let mut sorter = Sorter::new(Arc::clone(&spill), bytes);
            let mut expect = Vec::new();
            for rest in 0..count {
                let record = record(dice.u64(..count as u64 / 2 + 1), rest);
                sorter.push(record).expect("room");
                assert!(sorter.recent.len() <= (bytes / 20).max(1));
                expect.push((0, record));
            }
            expect.sort();
            let sorted = sorter.finish().expect("room");
            assert_eq!(sorted.len(), u64::from(count));
            assert!(sorted.kept.len() * 20 <= KEPT_BYTES_MAX);
            for _ in 0..2 {
                assert!(all(&[&sorted]) == expect, "{count} in {bytes} bytes");
            }
        }
        assert_eq!(
            dir.path().read_dir().expect("a directory").count(),
            0,
            "no name is left"
        );
    }

    #[test]
    fn of_several_lots_the_first_comes_first_where_keys_are_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let spill = Arc::new(Spill::new(dir.path()));
        let lot = |records: &[[u8; 20]]| {
            // Two records to a chunk.
            let mut sorter = Sorter::new(Arc::clone(&spill), 40);
            records.iter().for_each(|record| sorter.push(*record).expect("room"));
            sorter.finish().expect("room")
        };
        let first = lot(&[record(5, 9), record(1, 8), record(5, 7), record(3, 0)]);
        let second = lot(&[record(5, 0), record(2, 1), record(1, 0)]);
        let expect = [
            (0, record(1, 8)),
            (1, record(1, 0)),
            (1, record(2, 1)),
            (0, record(3, 0)),
            (0, record(5, 7)),
            (0, record(5, 9)),
            (1, record(5, 0)),
        ];
        assert_eq!(all(&[&first, &second]), expect);
    }

    #[test]
    fn what_was_left_behind_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in [".unique-0123.part", "unique.db", ".unique-notes", "ledger.db"] {
            std::fs::write(dir.path().join(name), "").expect("a file");
        }
        Spill::sweep(dir.path()).expect("swept");
        let mut left: Vec<_> = dir
            .path()
            .read_dir()
            .expect("a directory")
            .map(|entry| entry.expect("a file").file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".unique-notes", "ledger.db", "unique.db"]);
    }
}
