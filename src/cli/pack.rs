//! `feedgate pack`: the zip that a partner should have sent.
//!
//! The right name, exactly one file of the right name, deflate. The data is not looked into here: whether it is a feed at
//! all is said by the checker, which the command line runs over the finished zip, as `check` would.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::archive::{FeedName, NameClass, classify, kind_of};
use crate::verdict::{Violation, ViolationCode};

/// From here on the sizes may not fit the old fields; with room for data that deflate makes larger.
const ZIP64_FROM_BYTES: u64 = 0xf000_0000;

/// How much is read and written at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// The zip that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Where it is.
    pub path: PathBuf,
    /// Its name; the archive's time is in it.
    pub name: FeedName,
    /// Why it has not the time in the data file's own name, which looks as if it had one: a sentence for people.
    pub renamed: Option<String>,
    /// Bytes of the data file.
    pub data_bytes: u64,
    /// Bytes of the zip.
    pub zip_bytes: u64,
}

/// Packs the data file `feed` into `out_dir`, or beside it where none is given.
///
/// The time in the name is the one in the data file's own name if it has the form, else `now_utc_ms` (UTC milliseconds), or
/// the next second after it whose name is free. The zip is written under another name, synced and then renamed; it never takes the place of a file that is there.
///
/// # Errors
///
/// If the data file cannot be read, is itself a zip or no file, or the zip cannot be written or is already there.
pub fn pack(feed: &Path, out_dir: Option<&Path>, now_utc_ms: i64) -> Result<Packed> {
    let shown = feed.display();
    // Looked at first: opening a pipe would wait for its other end.
    let metadata = fs::metadata(feed).with_context(|| format!("opening the data file `{shown}`"))?;
    if !metadata.is_file() {
        bail!("packing `{shown}`: it is no file; give the JSON file itself");
    }
    if feed
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("zip"))
    {
        bail!("packing `{shown}`: it is a zip already; give the JSON file that is to go into it");
    }
    let own = feed.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if kind_of(own).is_user_feed() {
        bail!("packing `{shown}`: the files of a user feed are not packed; upload it as it is");
    }
    let data = File::open(feed).with_context(|| format!("opening the data file `{shown}`"))?;
    let folder = out_dir
        .or(feed.parent())
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let (name, renamed) = match own_name(feed) {
        NameClass::Feed(name) => (name, None),
        NameClass::NearMiss(violation) => (free_name(folder, now_utc_ms)?, Some(no_time(feed, &violation))),
        NameClass::InProgress | NameClass::Other => (free_name(folder, now_utc_ms)?, None),
    };
    let path = folder.join(name.as_str());
    if path.symlink_metadata().is_ok() {
        bail!(
            "packing `{shown}`: `{}` is already there; move it away first",
            path.display()
        );
    }
    let beside = Beside::create(folder, &name)?;
    let data_bytes = write(&beside.file, data, metadata.len(), name.member())
        .with_context(|| format!("packing `{shown}` into `{}`", beside.path.display()))?;
    let zip_bytes = beside.file.metadata().context("looking at the new zip")?.len();
    beside
        .rename(&path)
        .with_context(|| format!("packing `{shown}`: naming the zip `{}`", path.display()))?;
    Ok(Packed {
        path,
        name,
        renamed,
        data_bytes,
        zip_bytes,
    })
}

/// What the data file's own name would make of the archive's.
fn own_name(feed: &Path) -> NameClass {
    let own = feed.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    classify(&format!("{own}.zip"))
}

/// Why the data file's name, which begins as one with a time does, gives none.
fn no_time(feed: &Path, violation: &Violation) -> String {
    let why = match violation.code {
        ViolationCode::NameTimestamp => violation.detail.as_str(),
        _ => "its name has not the form `event_history_YYYYMMDDHHMMSS.json`",
    };
    format!("{}: {why}", feed.display())
}

/// The archive's name by a time: the one given, or the first second after it that no file in the folder has taken. Feeds
/// are packed faster than one in a second.
fn free_name(folder: &Path, from_utc_ms: i64) -> Result<FeedName> {
    let mut at =
        DateTime::from_timestamp_millis(from_utc_ms).context("naming the zip: the clock shows no time at all")?;
    loop {
        let NameClass::Feed(name) = classify(&at.format("event_history_%Y%m%d%H%M%S.json.zip").to_string()) else {
            bail!("naming the zip: the clock shows {at}, which the name cannot hold");
        };
        if folder.join(name.as_str()).symlink_metadata().is_err() {
            return Ok(name);
        }
        at += TimeDelta::seconds(1);
    }
}

/// Writes the zip and syncs it; returns the bytes that went in.
fn write(zip: &File, data: File, expected: u64, member: &str) -> Result<u64> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .large_file(expected >= ZIP64_FROM_BYTES)
        .unix_permissions(0o644);
    let mut writer = zip::ZipWriter::new(BufWriter::with_capacity(BLOCK_BYTES, zip));
    writer.start_file(member, options)?;
    let bytes = io::copy(&mut BufReader::with_capacity(BLOCK_BYTES, data), &mut writer)?;
    writer.finish()?.flush()?;
    if bytes != expected {
        bail!(
            "the data file changed while it was read: {expected} bytes before, {bytes} read; try again when it is finished"
        );
    }
    zip.sync_all().context("syncing the zip")?;
    Ok(bytes)
}

/// The zip under the name it has until it is finished. Dropped before that, it is removed.
struct Beside {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Beside {
    /// Creates it; its name is one that a source ignores as an upload in progress.
    fn create(folder: &Path, name: &FeedName) -> Result<Beside> {
        let path = folder.join(format!(".{}.{}.tmp", name.as_str(), std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("creating `{}`", path.display()))?;
        Ok(Beside {
            path,
            file,
            finished: false,
        })
    }

    /// Gives it its name, unless a file of that name is there by now.
    fn rename(mut self, path: &Path) -> io::Result<()> {
        rename_to_free_name(&self.path, path)?;
        self.finished = true;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is helped by a second error about a file that is ignored anyway.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Renames without ever replacing; by a second link where the file system knows no such rename.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::archive::{self, Limits};

    const FEED: &str = r#"[{"event":"order","id":"1"}]"#;
    const NOW: i64 = 1_574_096_700_999;
    const LIMITS: Limits = Limits {
        unpacked_bytes: 1 << 30,
        ratio: 200,
    };

    fn feed_named(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, FEED).expect("a data file");
        (folder, path)
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("the folder")
            .map(|file| file.expect("a file").file_name().into_string().expect("a plain name"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_packed_observes_every_rule() {
        let check = |given: &str, expect: &str| {
            let (folder, feed) = feed_named(given);
            let packed = pack(&feed, None, NOW).expect("packs");
            assert_eq!(packed.name.as_str(), expect);
            assert_eq!(packed.path, folder.path().join(expect));
            let mut zip = File::open(&packed.path).expect("the zip");
            let contents = archive::inspect(&mut zip, packed.zip_bytes, &packed.name, &LIMITS).expect("no fault");
            assert_eq!(contents.violations, []);
            let mut text = String::new();
            let member = contents.member.expect("a member");
            archive::open(zip, &member, &LIMITS)
                .expect("opens")
                .read_to_string(&mut text)
                .expect("reads");
            assert_eq!((text.as_str(), packed.data_bytes), (FEED, FEED.len() as u64));
            assert_eq!(names_in(folder.path()).len(), 2, "nothing else is left");
        };
        check(
            "event_history_20200229120000.json",
            "event_history_20200229120000.json.zip",
        );
        check("export.json", "event_history_20191118170500.json.zip");
        check(
            "event_history_20200230120000.json",
            "event_history_20191118170500.json.zip",
        );
    }

    #[test]
    fn a_zip_that_is_there_is_never_replaced() {
        let (folder, feed) = feed_named("event_history_20191118170500.json");
        let taken = folder.path().join("event_history_20191118170500.json.zip");
        fs::write(&taken, "somebody's").expect("a file");
        let error = pack(&feed, None, NOW).expect_err("it is there");
        assert!(format!("{error:#}").contains("already there"), "{error:#}");
        assert_eq!(fs::read(&taken).expect("the file"), b"somebody's");
        let beside = folder.path().join("beside");
        fs::write(&beside, "ours").expect("a file");
        assert_eq!(
            rename_to_free_name(&beside, &taken).expect_err("taken").kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&taken).expect("the file"), b"somebody's");
        assert_eq!(
            names_in(folder.path()),
            [
                "beside",
                "event_history_20191118170500.json",
                "event_history_20191118170500.json.zip"
            ]
        );
    }

    #[test]
    fn feeds_without_a_time_take_one_second_after_the_other() {
        let (folder, feed) = feed_named("export.json");
        let names: Vec<String> = (0..3)
            .map(|_| pack(&feed, None, NOW).expect("packs").name.as_str().to_owned())
            .collect();
        let expect = ["00", "01", "02"].map(|second| format!("event_history_201911181705{second}.json.zip"));
        assert_eq!(names, expect);
        assert_eq!(names_in(folder.path()).len(), 4);
    }

    #[test]
    fn a_time_that_is_not_taken_over_is_told() {
        let check = |given: &str, expect: Option<&str>| {
            let (_folder, feed) = feed_named(given);
            let renamed = pack(&feed, None, NOW).expect("packs").renamed;
            match (&renamed, expect) {
                (Some(said), Some(expect)) => assert!(said.contains(expect), "{given}: {said}"),
                _ => assert_eq!(renamed.as_deref(), expect, "{given}"),
            }
        };
        check("event_history_20200229120000.json", None);
        check("export.json", None);
        check(
            "event_history_20201301000000.json",
            Some(
                "event_history_20201301000000.json: `20201301000000` in the name is no real UTC time: there is no month 13",
            ),
        );
        check(
            "event_history_2020.json",
            Some("has not the form `event_history_YYYYMMDDHHMMSS.json`"),
        );
    }

    #[test]
    fn what_cannot_be_packed_says_why_and_leaves_nothing() {
        let (folder, feed) = feed_named("export.ZIP");
        let said = |feed: &Path, out: Option<&Path>| format!("{:#}", pack(feed, out, NOW).expect_err("is refused"));
        assert!(said(&feed, None).contains("a zip already"));
        assert!(said(folder.path(), None).contains("no file"));
        assert!(said(&folder.path().join("none.json"), None).contains("opening the data file"));
        let json = folder.path().join("feed.json");
        fs::write(&json, FEED).expect("a data file");
        assert!(said(&json, Some(&folder.path().join("nowhere"))).contains("creating `"));
        assert_eq!(names_in(folder.path()), ["export.ZIP", "feed.json"]);
    }

    #[test]
    fn it_goes_where_it_is_told() {
        let (_folder, feed) = feed_named("export.json");
        let out = tempfile::tempdir().expect("a folder");
        let packed = pack(&feed, Some(out.path()), NOW).expect("packs");
        assert_eq!(packed.path.parent(), Some(out.path()));
        assert_eq!(names_in(out.path()), ["event_history_20191118170500.json.zip"]);
    }
}
