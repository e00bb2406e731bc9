//! The packaging rules: exactly one file, of the archive's name without `.zip`; and which file to import where they are not
//! observed.
//!
//! A fault of a member that is not imported counts only where it makes the archive ambiguous: a second file that is
//! encrypted is one file too many and nothing worse, one that overlaps with the first is a fault.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use super::directory::{self, Entry, Listing};
use super::escape::{shown, shown_up_to};
use super::layout;
use super::records::flags;
use super::{Contents, Error, FeedName, Limits, Member, fault, window};
use crate::verdict::{Violation, ViolationCode};

/// Most names of files that are listed.
const FILES_MAX: usize = 100;

/// Most names of files that a sentence holds.
const NAMED_MAX: usize = 5;

/// The DOS attribute of a directory.
const DOS_DIRECTORY: u32 = 0x10;

/// Below this the ratio does not count: honest small feeds repeat themselves.
const RATIO_FROM_BYTES: u64 = 256 * 1024 * 1024;

/// Holds a whole archive of `size` bytes against its rules and against itself, without unpacking anything.
///
/// A fault comes as [`Error::Fault`], the first that is found; packaging rules that are not observed come as values.
pub fn inspect<R: Read + Seek>(
    archive: &mut R,
    size: u64,
    name: &FeedName,
    limits: &Limits,
) -> Result<Contents, Error> {
    let mut listing = directory::list(archive, size)?;
    let chosen = choose(&listing, name);
    // Encryption first: it also masks the local headers that would be found to disagree.
    if let Some(index) = chosen {
        not_encrypted(&listing.entries[index])?;
    }
    layout::walk(archive, &mut listing)?;
    no_differing_duplicates(archive, &listing)?;
    if let Some(index) = chosen {
        nothing_lands_on(archive, &listing, &listing.entries[index])?;
    }
    let member = chosen
        .map(|index| member(archive, &listing.entries[index], limits))
        .transpose()?;
    let files: Vec<String> = files(&listing).map(Entry::text).collect();
    Ok(Contents {
        violations: violations(&files, member.as_ref(), name),
        files: files
            .iter()
            .take(FILES_MAX)
            .map(|file| shown_up_to(file, 255))
            .collect(),
        member,
    })
}

fn files(listing: &Listing) -> impl DoubleEndedIterator<Item = &Entry> {
    listing.entries.iter().filter(|entry| !entry.is_directory())
}

/// The file to import: the only one; else the one of the right name; else the only `.json` file.
///
/// Of duplicates, which are equal or refused, the last, as the `zip` crate has it.
fn choose(listing: &Listing, name: &FeedName) -> Option<usize> {
    let mut all = files(listing);
    if let (Some(only), None) = (all.next(), all.next()) {
        return Some(only.index);
    }
    if let Some(right) = files(listing).rfind(|entry| entry.name == name.member().as_bytes()) {
        return Some(right.index);
    }
    let last = files(listing).rfind(|entry| is_json(&entry.name))?;
    let only = files(listing).all(|entry| !is_json(&entry.name) || entry.name == last.name);
    only.then_some(last.index)
}

/// Whether a name ends as a JSON file's does, and is not what a Mac keeps beside its files.
fn is_json(name: &[u8]) -> bool {
    let ends = name.len() >= 5 && name[name.len() - 5..].eq_ignore_ascii_case(b".json");
    ends && !of_a_mac(name)
}

/// Whether this is what macOS puts into zips for its own use.
fn of_a_mac(name: &[u8]) -> bool {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    name.starts_with(b"__MACOSX/") || base == b".DS_Store" || base.starts_with(b"._")
}

fn not_encrypted(entry: &Entry) -> Result<(), Violation> {
    const ANY: u16 = flags::ENCRYPTED | flags::STRONG | flags::MASKED;
    if entry.flags & ANY == 0 && entry.method != 99 {
        return Ok(());
    }
    let detail = format!("`{}` is encrypted: pack it without a password", shown(&entry.text()));
    Err(fault(ViolationCode::ZipEncrypted, detail))
}

/// Refuses members of the same name and different content: readers take the first or the last.
fn no_differing_duplicates<R: Read + Seek>(archive: &mut R, listing: &Listing) -> Result<(), Error> {
    let mut by_name: HashMap<&[u8], &Entry> = HashMap::with_capacity(listing.entries.len());
    for entry in &listing.entries {
        let Some(before) = by_name.insert(&entry.name, entry) else {
            continue;
        };
        if !layout::same_data(archive, before, entry)? {
            let detail = format!("holds `{}` twice, with different content", shown(&entry.text()));
            return Err(fault(ViolationCode::ZipInconsistent, detail).into());
        }
    }
    Ok(())
}

/// Refuses another file that some unpackers would put in the place of the data file, with different content: who unpacks
/// the archive there has other events than we.
fn nothing_lands_on<R: Read + Seek>(archive: &mut R, listing: &Listing, chosen: &Entry) -> Result<(), Error> {
    let place = landing(&chosen.name);
    for other in files(listing) {
        let lands_there = other.name != chosen.name && landing(&other.name) == place;
        if lands_there && !layout::same_data(archive, other, chosen)? {
            let detail = format!(
                "holds `{}` and `{}`, which are one file on some systems, with different content",
                shown(&chosen.text()),
                shown(&other.text())
            );
            return Err(fault(ViolationCode::ZipInconsistent, detail).into());
        }
    }
    Ok(())
}

/// Where the most forgiving unpacker puts a name: Windows and macOS know no upper and lower case, Windows takes `\` for `/` and
/// drops dots and blanks at the end of each part, and `.` and `..` lead nowhere or back.
fn landing(name: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    for part in name.split(|&byte| matches!(byte, b'/' | b'\\')) {
        if part == b".." {
            parts.pop();
            continue;
        }
        let len = part
            .iter()
            .rposition(|&byte| !matches!(byte, b'.' | b' '))
            .map_or(0, |at| at + 1);
        if len > 0 {
            parts.push(part[..len].to_ascii_lowercase());
        }
    }
    parts
}

/// The member of this entry, if it can be unpacked within bounds.
fn member<R: Read + Seek>(archive: &mut R, entry: &Entry, limits: &Limits) -> Result<Member, Error> {
    // Readers look for the Unix mode whatever system the entry names. A pipe or a terminal is what packers note that read
    // from standard input: the data is the file's all the same.
    let other = match (entry.attributes >> 16) & 0o170_000 {
        0o120_000 => Some("a symbolic link"),
        _ if entry.name.ends_with(b"/") || entry.name.ends_with(b"\\") => Some("a directory by its name"),
        0o040_000 => Some("a directory by its attributes"),
        _ if entry.attributes & DOS_DIRECTORY != 0 => Some("a directory by its attributes"),
        0 | 0o100_000 | 0o010_000 | 0o020_000 => None,
        _ => Some("no regular file by its attributes"),
    };
    if let Some(other) = other {
        let detail = format!("`{}` is {other}: pack the file itself", shown(&entry.text()));
        return Err(fault(ViolationCode::ZipInconsistent, detail).into());
    }
    if entry.flags & flags::PATCH != 0 {
        let detail = "the data file is packed as a patch of another: pack it with deflate";
        return Err(fault(ViolationCode::ZipMethod, detail).into());
    }
    let mut head = Vec::new();
    archive.seek(SeekFrom::Start(entry.data_offset))?;
    archive
        .take(entry.compressed_size.min(window::HEAD_BYTES))
        .read_to_end(&mut head)?;
    window::judge(entry.method, &head)?;
    within(entry.size, entry.compressed_size, limits)?;
    Ok(Member {
        name: entry.text(),
        index: entry.index,
        method: entry.method,
        header_offset: entry.header_offset,
        data_offset: entry.data_offset,
        compressed_size: entry.compressed_size,
        size: entry.size,
        crc32: entry.crc32,
    })
}

/// Holds an unpacked size, declared or reached, against the limits.
pub(super) fn within(size: u64, compressed_size: u64, limits: &Limits) -> Result<(), Violation> {
    if size > limits.unpacked_bytes {
        let detail = format!(
            "the data file unpacks to {size} bytes or more; the limit is {}: send it in several archives",
            limits.unpacked_bytes
        );
        return Err(fault(ViolationCode::TooLarge, detail));
    }
    if size > RATIO_FROM_BYTES && size > compressed_size.saturating_mul(limits.ratio) {
        let detail = format!(
            "the data file unpacks from {compressed_size} bytes to {size} or more, over {} times its size",
            limits.ratio
        );
        return Err(fault(ViolationCode::Ratio, detail));
    }
    Ok(())
}

/// The packaging rules that are not observed.
fn violations(files: &[String], member: Option<&Member>, name: &FeedName) -> Vec<Violation> {
    let mut violations = Vec::new();
    let right = name.member();
    if files.is_empty() {
        let detail = format!("holds no file; it must hold exactly one, `{right}`");
        violations.push(Violation::new(ViolationCode::NotOneFile, detail));
    }
    if files.len() > 1 {
        violations.push(Violation::new(ViolationCode::NotOneFile, too_many(files, right)));
    }
    if let Some(member) = member.filter(|member| member.name != right) {
        let detail = format!(
            "the data file is named `{}`; it must be named `{right}`{}",
            shown(&member.name),
            hint(&member.name, right)
        );
        violations.push(Violation::new(ViolationCode::MemberName, detail));
    }
    violations
}

/// Names the files of which there should be one.
fn too_many(files: &[String], right: &str) -> String {
    let named: Vec<String> = files
        .iter()
        .take(NAMED_MAX)
        .map(|file| format!("`{}`", shown(file)))
        .collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mac = match files.iter().any(|file| of_a_mac(file.as_bytes())) {
        true => "; it was zipped on a Mac, which adds `__MACOSX/` and `.DS_Store`: use `zip -X` in the terminal",
        false => "",
    };
    format!(
        "holds {} files where exactly one, `{right}`, is wanted: {}{more}{mac}",
        files.len(),
        named.join(", ")
    )
}

/// What to do about a wrong name, where it is plain.
fn hint(found: &str, right: &str) -> &'static str {
    if found.rsplit(['/', '\\']).next() == Some(right) {
        return ": pack it without folders (`zip -j`)";
    }
    if found.eq_ignore_ascii_case(right) {
        return ": upper and lower case count";
    }
    if found.strip_suffix(".zip") == Some(right) {
        return ": it looks like a zip inside a zip";
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::landing;

    #[test]
    fn names_that_are_one_file_somewhere_land_in_one_place() {
        let check = |name: &str, expect: bool| {
            assert_eq!(landing(name.as_bytes()) == landing(b"feed.json"), expect, "{name}");
        };
        for name in [
            "feed.json",
            "FEED.Json",
            "./feed.json",
            "/feed.json",
            "\\feed.json",
            "../feed.json",
            "a/../feed.json",
            "a\\..\\.\\feed.json",
            "feed.json.",
            "feed.json ",
            "feed.json . .",
            "...//feed.json",
        ] {
            check(name, true);
        }
        for name in [
            "a/feed.json",
            "feed.json/a",
            "feed",
            ".feed.json",
            "__MACOSX/._feed.json",
            "",
            "..",
        ] {
            check(name, false);
        }
    }
}
