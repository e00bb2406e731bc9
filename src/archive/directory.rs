//! The directory of an archive: found, read within bounds, and made into entries.
//!
//! What it says is not believed here either: `layout` holds it against the rest of the file.

use std::io::{self, Read, Seek, SeekFrom};

use super::ends::{self, DIRECTORY_BYTES_MAX, Directory, ENDS_BYTES_MAX, Lost};
use super::escape::{decoded, shown};
use super::records::{self, CENTRAL, Header, IN_ZIP64, IN_ZIP64_SHORT, LOCAL, flags};
use super::{Error, fault};
use crate::verdict::{Violation, ViolationCode};

/// A member as the directory has it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Index in the directory.
    pub index: usize,
    /// Its name, as it stands.
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u64,
    pub size: u64,
    pub header_offset: u64,
    /// Known once the local header was read.
    pub data_offset: u64,
    /// External attributes: DOS ones, and above them the Unix mode where the packer wrote one.
    pub attributes: u32,
}

impl Entry {
    /// The name as text.
    pub fn text(&self) -> String {
        decoded(&self.name)
    }

    /// Directories are entries, and no files.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with(b"/") && self.size == 0
    }

    /// The name as it may be shown.
    pub fn shown(&self) -> String {
        shown(&self.text())
    }
}

/// The directory's entries, in its order, and where it lies.
#[derive(Debug)]
pub(super) struct Listing {
    pub entries: Vec<Entry>,
    pub directory: Directory,
}

pub(super) fn inconsistent(detail: impl Into<String>) -> Violation {
    fault(ViolationCode::ZipInconsistent, detail)
}

pub(super) fn read_at<R: Read + Seek>(archive: &mut R, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    archive.seek(SeekFrom::Start(at))?;
    archive.read_exact(buffer)
}

pub(super) fn bytes_at<R: Read + Seek>(archive: &mut R, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    read_at(archive, at, &mut bytes)?;
    Ok(bytes)
}

/// Reads the directory of an archive of `size` bytes.
pub(super) fn list<R: Read + Seek>(archive: &mut R, size: u64) -> Result<Listing, Error> {
    let beginning = bytes_at(archive, 0, size.min(16) as usize)?;
    let tail_len = size.min(ENDS_BYTES_MAX);
    let tail = bytes_at(archive, size - tail_len, tail_len as usize)?;
    let nothing_but_an_end = tail_len == size && ends::reaches_the_end(&tail);
    if !beginning.starts_with(&LOCAL) && !nothing_but_an_end {
        return Err(not_a_zip(&beginning, &tail).into());
    }
    let directory = match ends::locate(&tail, size) {
        Ok(directory) => directory,
        Err(Lost::Fault(violation)) => return Err(violation.into()),
        Err(Lost::NoEnd) => return Err(no_end(&tail).into()),
    };
    if directory.size > DIRECTORY_BYTES_MAX {
        let detail = format!(
            "its directory has {} bytes; more than 1 MiB is not read",
            directory.size
        );
        return Err(fault(ViolationCode::ZipUnreadable, detail).into());
    }
    let bytes = bytes_at(archive, directory.offset, directory.size as usize)?;
    if !bytes.is_empty() && !bytes.starts_with(&CENTRAL) && masked(archive)? {
        let detail = "its directory is encrypted: pack it without a password";
        return Err(fault(ViolationCode::ZipEncrypted, detail).into());
    }
    Ok(Listing {
        entries: entries(&bytes, &directory)?,
        directory,
    })
}

/// Names what a file is that does not begin as a zip.
fn not_a_zip(beginning: &[u8], tail: &[u8]) -> Violation {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "it is packed with gzip"),
        (b"BZh", "it is packed with bzip2"),
        (b"\xfd7zXZ\0", "it is packed with xz"),
        (b"\x28\xb5\x2f\xfd", "it is packed with zstd"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive"),
        (b"Rar!", "it is a rar archive"),
        (
            b"MZ",
            "it is a program: a self-extracting archive must be packed anew as plain zip",
        ),
        (
            b"PK\x07\x08",
            "it begins as a zip split over several files does: send it in one piece",
        ),
        (
            b"PK00PK",
            "it begins as a zip split over several files does: send it in one piece",
        ),
    ];
    let text = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
    let what = match KNOWN.iter().find(|(magic, _)| beginning.starts_with(magic)) {
        Some((_, what)) => what,
        None if beginning.is_empty() => "the file is empty",
        None if matches!(text, Some(b'[' | b'{')) => "it looks like the unpacked JSON: put it into a zip",
        None if beginning.iter().all(|&byte| byte == 0) => {
            "it begins with zeros, as a file does whose data never arrived"
        }
        None if memchr::memmem::find(tail, &records::END).is_some() => {
            "it does not begin with a member: something stands before the zip, or its first part is missing"
        }
        None => "it does not begin as one",
    };
    fault(ViolationCode::ZipUnreadable, format!("is not a zip: {what}"))
}

/// Says why a file that begins as a zip has no end.
fn no_end(tail: &[u8]) -> Violation {
    let last = memchr::memmem::rfind(tail, &records::END).map(|at| &tail[at..]);
    if let Some((bytes, end)) = last.and_then(|bytes| Some((bytes, records::End::parse(bytes)?))) {
        let after = bytes
            .len()
            .saturating_sub(records::END_BYTES + usize::from(end.comment_len));
        if after > 0 {
            let zeros = bytes[bytes.len() - after..].iter().all(|&byte| byte == 0);
            let why = if zeros {
                ", all zero: pack it into a file, not into a pipe"
            } else {
                ""
            };
            return inconsistent(format!("has {after} bytes after its end record{why}"));
        }
    }
    fault(
        ViolationCode::ZipTruncated,
        "begins as a zip and has no end: the upload is incomplete",
    )
}

/// Whether the first member says that the directory is encrypted.
fn masked<R: Read + Seek>(archive: &mut R) -> io::Result<bool> {
    let fixed = bytes_at(archive, 0, 8)?;
    Ok(fixed.starts_with(&LOCAL) && records::u16_at(&fixed, 6) & (flags::MASKED | flags::STRONG) != 0)
}

/// The entries of a directory: exactly as many as the end record says, in exactly as many bytes.
fn entries(mut bytes: &[u8], directory: &Directory) -> Result<Vec<Entry>, Violation> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let index = entries.len();
        let Some(central) = records::Central::parse(bytes) else {
            return Err(inconsistent(format!("its directory is damaged at entry {index}")));
        };
        entries.push(entry(index, &central)?);
        bytes = &bytes[central.len..];
    }
    if entries.len() as u64 != directory.entries {
        return Err(inconsistent(format!(
            "its end record counts {} entries, and its directory has {}",
            directory.entries,
            entries.len()
        )));
    }
    Ok(entries)
}

fn entry(index: usize, central: &records::Central) -> Result<Entry, Violation> {
    let header = &central.header;
    let name = shown(&decoded(header.name));
    if header.name.iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
        return Err(inconsistent(format!(
            "the name `{name}` holds control characters, where readers part ways"
        )));
    }
    let long = Long::of(header, Some((central.header_offset, central.disk)))
        .and_then(|long| same_unicode_name(header).map(|()| long))
        .map_err(|wrong| inconsistent(format!("the directory's entry of `{name}` {wrong}")))?;
    Ok(Entry {
        index,
        name: header.name.to_vec(),
        flags: header.flags,
        method: header.method,
        crc32: header.crc32,
        compressed_size: long.compressed_size,
        size: long.size,
        header_offset: long.header_offset,
        data_offset: 0,
        attributes: central.attributes,
    })
}

/// The long fields of a header, taken from its zip64 field where it says so.
pub(super) struct Long {
    pub size: u64,
    pub compressed_size: u64,
    pub header_offset: u64,
}

impl Long {
    /// `place` is offset and disk, which only the directory has. The values that are not marked as "in zip64" may stand
    /// there all the same, as some writers have it, but only behind those that are, and only with the same value.
    pub fn of(header: &Header, place: Option<(u32, u16)>) -> Result<Long, &'static str> {
        let short = [
            header.size,
            header.compressed_size,
            place.map_or(0, |(offset, _)| offset),
        ];
        let disk = place.map_or(0, |(_, disk)| disk);
        let fields = if place.is_some() { 3 } else { 2 };
        let mut long = short.map(u64::from);
        let Some(mut zip64) = zip64_field(header.extra)? else {
            return match (short.contains(&IN_ZIP64), disk) {
                (true, _) => Err("points to a zip64 field that is not there"),
                (_, 0) => Ok(Long::from(long)),
                _ => Err("lies on another disk"),
            };
        };
        for (_, long) in short.iter().zip(&mut long).filter(|(short, _)| **short == IN_ZIP64) {
            *long = take8(&mut zip64).ok_or("has a zip64 field that is too short")?;
        }
        let marked = short.iter().filter(|&&short| short == IN_ZIP64).count();
        if zip64.len() >= 8 && short[..marked].iter().any(|&short| short != IN_ZIP64) {
            // A reader that takes the field for complete, marks or no marks, would find other values.
            return Err("has a zip64 field that can be read in two ways");
        }
        for long in long[..fields].iter().skip(marked) {
            if zip64.len() >= 8 && take8(&mut zip64) != Some(*long) {
                return Err("has a zip64 field that disagrees with it");
            }
        }
        match (disk, zip64.len()) {
            (0, 0) => Ok(Long::from(long)),
            (0 | IN_ZIP64_SHORT, 4) if records::u32_at(zip64, 0) == 0 => Ok(Long::from(long)),
            (0, len) if len != 4 => Err("has a zip64 field of a wrong length"),
            _ => Err("lies on another disk"),
        }
    }
}

impl From<[u64; 3]> for Long {
    fn from([size, compressed_size, header_offset]: [u64; 3]) -> Long {
        Long {
            size,
            compressed_size,
            header_offset,
        }
    }
}

fn take8(field: &mut &[u8]) -> Option<u64> {
    let (value, rest) = field.split_at_checked(8)?;
    *field = rest;
    Some(records::u64_at(value, 0))
}

/// The only zip64 field of an extra field, whose own form is checked on the way.
fn zip64_field(extra: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let mut found = None;
    for field in records::extra_fields(extra) {
        let (id, content) = field.ok_or("has a damaged extra field")?;
        if id == 1 && found.replace(content).is_some() {
            return Err("has two zip64 fields");
        }
    }
    Ok(found)
}

/// An Info-ZIP Unicode Path field (APPNOTE 4.6.9) names the member a second time; some readers follow it, others do not.
///
/// Where one of the two names is ASCII there is no honest reason for them to differ: the field is for names that the old
/// code pages cannot hold, and these are no feed's names.
pub(super) fn same_unicode_name(header: &Header) -> Result<(), &'static str> {
    for (id, content) in records::extra_fields(header.extra).flatten() {
        let Some(name) = content.get(5..).filter(|_| id == 0x7075) else {
            continue;
        };
        if name != header.name && (name.is_ascii() || header.name.is_ascii()) {
            return Err("has a Unicode Path field with another name");
        }
    }
    Ok(())
}
