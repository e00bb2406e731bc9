//! The files of one import while they are written: temporaries that all get their names at the end, or none does.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

/// Most files of one import that are open at a time. Each has a compressor, which is what this saves; one that makes room
/// for another ends its zstd frame, and begins a new one when there is more.
const OPEN_MAX: usize = 8;

/// Window of a compressor where there may be several, as a power of two: 1 MiB. The level's own could be many times that.
const WINDOW_LOG: u32 = 20;

/// What is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

const ENDING_ZSTD: &str = ".ndjson.zst";
const ENDING_PLAIN: &str = ".ndjson";
const ENDING_TEMPORARY: &str = ".part";

/// What went wrong, and with which file or directory.
pub(super) type Error = (PathBuf, io::Error);

/// The files of one import, by day.
pub(super) struct Parts {
    dir: PathBuf,
    key: String,
    level: i32,
    small_windows: bool,
    files: HashMap<String, Part>,
    /// Counts writes, so that the file not written to for longest can be found.
    clock: u64,
}

/// One file, under its temporary name until it is kept.
struct Part {
    temporary: PathBuf,
    name: PathBuf,
    used: u64,
    out: Option<Out>,
}

enum Out {
    Plain(BufWriter<File>),
    Zstd(Encoder<'static, BufWriter<File>>),
}

impl Parts {
    /// No file yet. Level 0 writes plain text.
    pub(super) fn new(dir: &Path, key: &str, level: i32, small_windows: bool) -> Parts {
        Parts {
            dir: dir.to_owned(),
            key: key.to_owned(),
            level,
            small_windows,
            files: HashMap::new(),
            clock: 0,
        }
    }

    /// Number of days that there is a file for.
    pub(super) fn days(&self) -> usize {
        self.files.len()
    }

    /// Whether there is a file for a day.
    pub(super) fn has(&self, day: &str) -> bool {
        self.files.contains_key(day)
    }

    /// Appends a line to a day's file.
    pub(super) fn write(&mut self, day: &str, line: &[u8]) -> Result<(), Error> {
        self.clock += 1;
        let is_open = self.files.get(day).is_some_and(|part| part.out.is_some());
        if !is_open {
            self.make_room()?;
            self.open(day)?;
        }
        let Some(part) = self.files.get_mut(day) else {
            return Ok(());
        };
        part.used = self.clock;
        match &mut part.out {
            Some(out) => out.write_all(line).map_err(|error| (part.temporary.clone(), error)),
            None => Ok(()),
        }
    }

    /// Syncs every file and gives each its name; then they are there for good, names and all.
    pub(super) fn keep(mut self) -> Result<(), Error> {
        for part in self.files.values_mut() {
            part.close()?;
            let path = part.temporary.clone();
            // Opened anew, since a file that made room was closed before its time.
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|error| (path, error))?;
        }
        let mut days: Vec<(String, Part)> = self.files.drain().collect();
        days.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, part) in &days {
            fs::rename(&part.temporary, &part.name).map_err(|error| (part.name.clone(), error))?;
        }
        for (day, _) in &days {
            let path = self.dir.join(day);
            sync_dir(&path).map_err(|error| (path, error))?;
        }
        Ok(())
    }

    fn open(&mut self, day: &str) -> Result<(), Error> {
        if !self.files.contains_key(day) {
            let part = self.begin(day)?;
            self.files.insert(day.to_owned(), part);
        }
        let (level, small_windows) = (self.level, self.small_windows);
        let Some(part) = self.files.get_mut(day) else {
            return Ok(());
        };
        part.out =
            Some(Out::append(&part.temporary, level, small_windows).map_err(|error| (part.temporary.clone(), error))?);
        Ok(())
    }

    /// An empty temporary for a day.
    fn begin(&self, day: &str) -> Result<Part, Error> {
        let ending = if self.level == 0 { ENDING_PLAIN } else { ENDING_ZSTD };
        let dir = self.dir.join(day);
        make_dir(&dir).map_err(|error| (dir.clone(), error))?;
        let temporary = dir.join(format!(".{}{ending}{ENDING_TEMPORARY}", self.key));
        File::create(&temporary).map_err(|error| (temporary.clone(), error))?;
        Ok(Part {
            name: dir.join(format!("{}{ending}", self.key)),
            temporary,
            used: 0,
            out: None,
        })
    }

    /// Closes the file not written to for longest, if as many are open as may be.
    fn make_room(&mut self) -> Result<(), Error> {
        let open = self.files.values().filter(|part| part.out.is_some());
        if open.count() < OPEN_MAX {
            return Ok(());
        }
        let oldest = self
            .files
            .values_mut()
            .filter(|part| part.out.is_some())
            .min_by_key(|part| part.used);
        oldest.map_or(Ok(()), Part::close)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for part in self.files.values() {
            // What stays is swept at the next start.
            fs::remove_file(&part.temporary).ok();
        }
    }
}

impl Part {
    fn close(&mut self) -> Result<(), Error> {
        match self.out.take() {
            Some(out) => out.finish().map_err(|error| (self.temporary.clone(), error)),
            None => Ok(()),
        }
    }
}

impl Out {
    fn append(path: &Path, level: i32, small_window: bool) -> io::Result<Out> {
        let file = BufWriter::with_capacity(WRITE_BYTES, OpenOptions::new().append(true).open(path)?);
        if level == 0 {
            return Ok(Out::Plain(file));
        }
        let mut encoder = Encoder::new(file, level)?;
        encoder.include_checksum(true)?;
        if small_window {
            encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        }
        Ok(Out::Zstd(encoder))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.write_all(bytes),
            Out::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Out::Plain(file) => file,
            Out::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}

/// Makes a directory and its parents, on disk, names and all, when this returns `Ok`.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_dir(parent)?;
    match fs::create_dir(dir) {
        // Somebody else was quicker; if it is no directory, the first file will say so.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    sync_dir(parent)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes the temporaries that a crash left: files of our own spelling, one directory down, and nothing else.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    for day in fs::read_dir(dir)? {
        let day = day?;
        // Other directories (`lost+found`, somebody's own) are not looked into.
        if !day.file_name().to_str().is_some_and(is_day) || !day.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(day.path())? {
            let file = file?;
            if file.file_name().to_str().is_some_and(is_temporary) {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

fn is_day(name: &str) -> bool {
    name == super::OTHER_DAYS || name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'))
}

fn is_temporary(name: &str) -> bool {
    let key = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(ENDING_TEMPORARY))
        .and_then(|name| {
            name.strip_suffix(ENDING_ZSTD)
                .or_else(|| name.strip_suffix(ENDING_PLAIN))
        });
    key.is_some_and(|key| key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: bool) {
        assert_eq!(is_temporary(name), expect, "{name}");
    }

    #[test]
    fn only_our_own_temporaries_are_swept() {
        check(".0123456789abcdef0123456789abcdef.ndjson.zst.part", true);
        check(".0123456789abcdef0123456789abcdef.ndjson.part", true);
        check("0123456789abcdef0123456789abcdef.ndjson.part", false);
        check(".0123456789abcdef0123456789abcdef.ndjson.zst", false);
        check(".0123456789abcdef.ndjson.zst.part", false);
        check(".0123456789abcdef0123456789abcdeg.ndjson.part", false);
        check(".notes.part", false);
    }
}
