//! What files are called, and which of those lying about are nobody's any more.
//!
//! `<day>/<key><ending>`, and `<key>-2<ending>` and so on where one file of a day is not enough. A temporary has a dot before
//! that and `.part` behind it. Whoever reads the directory by the endings never sees one.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// NDJSON, compressed.
pub(super) const NDJSON_ZSTD: &str = ".ndjson.zst";
/// NDJSON as it is.
pub(super) const NDJSON_PLAIN: &str = ".ndjson";
/// Parquet, compressed inside or not.
pub(super) const PARQUET: &str = ".parquet";

/// What is set aside while files are written. None is ever called just that: these are temporaries for all their life.
pub(super) const ASIDE: &str = ".rows";

/// Every form an earlier attempt may have written.
const ENDINGS: [&str; 3] = [NDJSON_ZSTD, NDJSON_PLAIN, PARQUET];

const TEMPORARY: &str = ".part";

/// Length of a key, in hexadecimal digits.
const KEY_CHARS: usize = 32;

/// Where events go whose day is one too many.
pub(super) const OTHER_DAYS: &str = "other-days";

/// The name of a day's file, counted from 1.
pub(super) fn file_name(key: &str, number: usize, ending: &str) -> String {
    match number {
        1 => format!("{key}{ending}"),
        _ => format!("{key}-{number}{ending}"),
    }
}

/// What a file is called until it is kept.
pub(super) fn temporary_name(name: &str) -> String {
    format!(".{name}{TEMPORARY}")
}

/// Removes the temporaries that a crash left: files of our own spelling, one directory down, and nothing else.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    for day in days(dir)? {
        for file in fs::read_dir(dir.join(day))? {
            let file = file?;
            if file.file_name().to_str().is_some_and(is_temporary) {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// The directories of days. Others (`lost+found`, somebody's own) are not looked into.
pub(super) fn days(dir: &Path) -> io::Result<Vec<String>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && is_day(name)
            && entry.file_type()?.is_dir()
        {
            days.push(name.to_owned());
        }
    }
    Ok(days)
}

/// Every file of ours, in the order of days and names.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for day in days(dir)? {
        for file in fs::read_dir(dir.join(day))? {
            let file = file?;
            if file.file_name().to_str().is_some_and(is_ours) {
                files.push(file.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file's name says that it is Parquet.
pub(super) fn is_parquet(path: &Path) -> bool {
    path.to_string_lossy().ends_with(PARQUET)
}

/// What the ids of the events in a file of ours begin with.
#[cfg(feature = "parquet")]
pub(super) fn key_of(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.get(..KEY_CHARS).unwrap_or_default().to_owned()
}

/// A key's files in a day's directory that are not among those to be kept, the last one first: whenever this is cut short,
/// what is left can be found by counting again.
pub(super) fn left_over(day: &Path, key: &str, kept: &HashSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for ending in ENDINGS {
        let paths = (1..).map(|number| day.join(file_name(key, number, ending)));
        found.extend(paths.take_while(|path| kept.contains(path) || path.exists()));
    }
    found.retain(|path| !kept.contains(path));
    found.reverse();
    found
}

fn is_day(name: &str) -> bool {
    name == OTHER_DAYS || name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'))
}

fn is_temporary(name: &str) -> bool {
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(TEMPORARY));
    name.is_some_and(|name| is_of(name, &[NDJSON_ZSTD, NDJSON_PLAIN, PARQUET, ASIDE]))
}

fn is_ours(name: &str) -> bool {
    is_of(name, &ENDINGS)
}

/// Whether a name is a key, perhaps a number, and one of these endings.
fn is_of(name: &str, endings: &[&str]) -> bool {
    let Some((key, rest)) = name.split_at_checked(KEY_CHARS) else {
        return false;
    };
    let number = endings.iter().find_map(|ending| rest.strip_suffix(ending));
    key.bytes().all(|byte| byte.is_ascii_hexdigit()) && number.is_some_and(is_number)
}

/// What stands between key and ending: nothing, or `-2` and so on.
fn is_number(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix('-')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
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
        check(".0123456789abcdef0123456789abcdef.parquet.part", true);
        check(".0123456789abcdef0123456789abcdef-17.parquet.part", true);
        check(".0123456789abcdef0123456789abcdef.rows.part", true);
        check(".0123456789abcdef0123456789abcdef-.parquet.part", false);
        check(".0123456789abcdef0123456789abcdef-two.parquet.part", false);
        check(".0123456789abcdef0123456789abcdef2.parquet.part", false);
        check(".0123456789abcdef0123456789abcdef.parquet", false);
        check("0123456789abcdef0123456789abcdef.ndjson.part", false);
        check(".0123456789abcdef0123456789abcdef.ndjson.zst", false);
        check(".0123456789abcdef0123456789abcdef.part", false);
        check(".0123456789abcdef.ndjson.zst.part", false);
        check(".0123456789abcdef0123456789abcdeg.ndjson.part", false);
        check(".0123456789abcdef0123456789abcdé.ndjson.part", false);
        check(".notes.part", false);
    }

    #[test]
    fn what_an_earlier_attempt_left_is_found_by_counting() {
        let dir = tempfile::tempdir().expect("a directory");
        let key = "0123456789abcdef0123456789abcdef";
        let path = |number, ending| dir.path().join(file_name(key, number, ending));
        for (number, ending) in [(1, PARQUET), (2, PARQUET), (3, PARQUET), (5, PARQUET), (1, NDJSON_ZSTD)] {
            fs::write(path(number, ending), "").expect("a file");
        }
        fs::write(dir.path().join(file_name(&key.replace('0', "1"), 1, PARQUET)), "").expect("another's");
        let kept = HashSet::from([path(1, PARQUET)]);
        assert_eq!(
            left_over(dir.path(), key, &kept),
            [path(3, PARQUET), path(2, PARQUET), path(1, NDJSON_ZSTD)]
        );
    }
}
