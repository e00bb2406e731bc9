//! Every byte of the archive accounted for: end records, directory, local headers, data and descriptors, held against
//! each other.
//!
//! Two readers that look at different records of the same file may see different members; whoever checks with one and
//! reads with the other is deceived. So an archive is taken only if there is one way to read it. The rules are those that
//! uv put to the archives of the fifteen thousand most used Python packages in August 2025 (astral-sh/uv pull request
//! 15136) and next to none of them broke: each member exactly once in directory and file, saying the same in both, with no
//! byte before, between or behind. What honest packers differ in stays free: order, dates, versions, attributes, extra
//! fields, comments, descriptors with and without signature, zip64 where it is not needed.

use std::io::{self, Read, Seek, SeekFrom};

use super::ends::{self, DIRECTORY_BYTES_MAX, Directory, ENDS_BYTES_MAX, Lost};
use super::escape::{decoded, shown};
use super::records::{self, CENTRAL, Header, IN_ZIP64, IN_ZIP64_SHORT, LOCAL, LOCAL_BYTES, flags};
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
    /// The Unix mode, or 0 where the packer wrote none. Readers look for it whatever system the entry names.
    pub mode: u32,
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

    fn shown(&self) -> String {
        shown(&self.text())
    }
}

/// The directory's entries, in its order, and where it lies.
#[derive(Debug)]
pub(super) struct Listing {
    pub entries: Vec<Entry>,
    directory: Directory,
}

fn inconsistent(detail: impl Into<String>) -> Violation {
    fault(ViolationCode::ZipInconsistent, detail)
}

fn read_at<R: Read + Seek>(archive: &mut R, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    archive.seek(SeekFrom::Start(at))?;
    archive.read_exact(buffer)
}

fn bytes_at<R: Read + Seek>(archive: &mut R, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    read_at(archive, at, &mut bytes)?;
    Ok(bytes)
}

/// Reads the directory of an archive of `size` bytes.
pub(super) fn list<R: Read + Seek>(archive: &mut R, size: u64) -> Result<Listing, Error> {
    let beginning = bytes_at(archive, 0, size.min(16) as usize)?;
    let tail_len = size.min(ENDS_BYTES_MAX);
    let tail = bytes_at(archive, size - tail_len, tail_len as usize)?;
    if !beginning.starts_with(&LOCAL) && !beginning.starts_with(&records::END) {
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
        mode: central.attributes >> 16,
    })
}

/// The long fields of a header, taken from its zip64 field where it says so.
struct Long {
    size: u64,
    compressed_size: u64,
    header_offset: u64,
}

impl Long {
    /// `place` is offset and disk, which only the directory has. The values that are not marked as "in zip64" may stand
    /// there all the same, as some writers have it, but only behind those that are, and only with the same value.
    fn of(header: &Header, place: Option<(u32, u16)>) -> Result<Long, &'static str> {
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
fn same_unicode_name(header: &Header) -> Result<(), &'static str> {
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

/// Reads every local header and accounts for every byte before the directory; notes where each member's data begins.
pub(super) fn walk<R: Read + Seek>(archive: &mut R, listing: &mut Listing) -> Result<(), Error> {
    let mut order: Vec<usize> = (0..listing.entries.len()).collect();
    order.sort_by_key(|&index| listing.entries[index].header_offset);
    let mut at = 0;
    for (turn, &index) in order.iter().enumerate() {
        let next = order
            .get(turn + 1)
            .map_or(listing.directory.offset, |&next| listing.entries[next].header_offset);
        let entry = &mut listing.entries[index];
        match entry.header_offset {
            offset if offset > listing.directory.offset => {
                return Err(inconsistent(format!("`{}` begins behind the directory", entry.shown())).into());
            }
            offset if offset > at => return Err(unlisted(archive, at, offset)?.into()),
            _ => {}
        }
        let data_end = local_header(archive, entry, next)?;
        at = descriptor(archive, entry, data_end, next)?;
    }
    if at < listing.directory.offset {
        return Err(unlisted(archive, at, listing.directory.offset)?.into());
    }
    Ok(())
}

/// What lies between `from` and `to` and belongs to no member that the directory knows.
fn unlisted<R: Read + Seek>(archive: &mut R, from: u64, to: u64) -> io::Result<Violation> {
    let beginning = bytes_at(archive, from, (to - from).min(4) as usize)?;
    Ok(inconsistent(match beginning == LOCAL {
        true => format!("has a member at byte {from} that its directory does not list"),
        false => format!("has {} bytes at byte {from} that belong to no member", to - from),
    }))
}

fn overlap(entry: &Entry) -> Violation {
    inconsistent(format!("`{}` overlaps with what follows it", entry.shown()))
}

/// Holds a local header against the directory's entry, and returns where the data ends, no later than `next`.
fn local_header<R: Read + Seek>(archive: &mut R, entry: &mut Entry, next: u64) -> Result<u64, Error> {
    let at = entry.header_offset;
    if next - at < LOCAL_BYTES as u64 {
        return Err(overlap(entry).into());
    }
    let mut fixed = [0; LOCAL_BYTES];
    read_at(archive, at, &mut fixed)?;
    let Some((name_len, extra_len)) = records::local_lens(&fixed) else {
        return Err(inconsistent(format!(
            "there is no local header where the directory puts `{}`",
            entry.shown()
        ))
        .into());
    };
    let data_offset = at + (LOCAL_BYTES + name_len + extra_len) as u64;
    let data_end = data_offset
        .checked_add(entry.compressed_size)
        .filter(|&end| end <= next);
    let Some(data_end) = data_end else {
        return Err(overlap(entry).into());
    };
    let variable = bytes_at(archive, at + LOCAL_BYTES as u64, name_len + extra_len)?;
    let (name, extra) = variable.split_at(name_len);
    same_in_both(entry, &records::local(&fixed, name, extra))
        .map_err(|wrong| inconsistent(format!("the local header of `{}` {wrong}", entry.shown())))?;
    entry.data_offset = data_offset;
    Ok(data_end)
}

/// Holds a local header against the directory's entry.
fn same_in_both(entry: &Entry, local: &Header) -> Result<(), &'static str> {
    const MATTERS: u16 = flags::ENCRYPTED | flags::DESCRIPTOR | flags::PATCH | flags::STRONG | flags::MASKED;
    if local.name != entry.name {
        return Err("has another name than the directory");
    }
    if local.method != entry.method {
        return Err("has another method than the directory");
    }
    // The UTF-8 flag is left out: packers disagree with themselves about it, and a right name is ASCII.
    if (local.flags ^ entry.flags) & MATTERS != 0 {
        return Err("has other flags than the directory");
    }
    let long = Long::of(local, None)?;
    same_unicode_name(local)?;
    // Where they follow the data, a streaming packer does not know them yet and writes zeros.
    let follows = entry.flags & flags::DESCRIPTOR != 0;
    let same = |local: u64, central: u64| local == central || (follows && local == 0);
    if !same(u64::from(local.crc32), u64::from(entry.crc32)) {
        return Err("has another CRC-32 than the directory");
    }
    if !same(long.compressed_size, entry.compressed_size) || !same(long.size, entry.size) {
        return Err("has other sizes than the directory");
    }
    if entry.method == 0 && entry.flags & flags::ENCRYPTED == 0 && entry.compressed_size != entry.size {
        return Err("is stored, with two different sizes");
    }
    Ok(())
}

/// Holds the descriptor after the data, where there is one, against the directory, and returns where the member ends.
fn descriptor<R: Read + Seek>(archive: &mut R, entry: &Entry, data_end: u64, next: u64) -> Result<u64, Error> {
    const LENS: [usize; 4] = [16, 12, 24, 20];
    if entry.flags & flags::DESCRIPTOR == 0 {
        return Ok(data_end);
    }
    let room = (next - data_end).min(24) as usize;
    let bytes = bytes_at(archive, data_end, room)?;
    let exact = LENS.iter().find(|&&len| len as u64 == next - data_end);
    let fits = |len: &&usize| bytes.get(..**len).is_some_and(|bytes| describes(bytes, entry));
    // One that fills the room exactly, or else the shortest that fits: `walk` explains what is left over.
    match exact.filter(fits).or_else(|| LENS.iter().find(fits)) {
        Some(&len) => Ok(data_end + len as u64),
        None => Err(inconsistent(format!(
            "the data descriptor of `{}` disagrees with the directory",
            entry.shown()
        ))
        .into()),
    }
}

/// Whether these bytes, of one of the four lengths, describe the entry.
fn describes(bytes: &[u8], entry: &Entry) -> bool {
    let rest = match bytes.len() {
        16 | 24 => match bytes.strip_prefix(&records::DESCRIPTOR) {
            Some(rest) => rest,
            None => return false,
        },
        _ => bytes,
    };
    let sizes = match rest.len() {
        12 => (u64::from(records::u32_at(rest, 4)), u64::from(records::u32_at(rest, 8))),
        _ => (records::u64_at(rest, 4), records::u64_at(rest, 12)),
    };
    records::u32_at(rest, 0) == entry.crc32 && sizes == (entry.compressed_size, entry.size)
}

/// Whether two members are packed alike, byte for byte: then it does not matter which of them a reader takes.
pub(super) fn same_data<R: Read + Seek>(archive: &mut R, one: &Entry, other: &Entry) -> io::Result<bool> {
    const BLOCK: usize = 64 * 1024;
    let alike = |entry: &Entry| {
        (
            entry.method,
            entry.flags,
            entry.crc32,
            entry.compressed_size,
            entry.size,
        )
    };
    if alike(one) != alike(other) {
        return Ok(false);
    }
    let mut done = 0;
    while done < one.compressed_size {
        let len = (one.compressed_size - done).min(BLOCK as u64) as usize;
        if bytes_at(archive, one.data_offset + done, len)? != bytes_at(archive, other.data_offset + done, len)? {
            return Ok(false);
        }
        done += len as u64;
    }
    Ok(true)
}
