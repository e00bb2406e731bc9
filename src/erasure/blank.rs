//! An archive written anew with some entries blank: as many elements as before, each in its place.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use roaring::RoaringTreemap;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::ErasureError;
use super::search::{Unread, each_entry};
use crate::archive::{Limits, Member};
use crate::ledger::{Import, Spooled};
use crate::spool::{Scratch, Spool};

/// What stands in a blank entry's place.
const BLANK: &[u8] = b"{}";

/// From here on the sizes may not fit the old fields.
const ZIP64_FROM_BYTES: u64 = 0xf000_0000;

/// How much is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 256 * 1024;

/// The new archive, and where its data file lies in it.
pub(super) struct Blanked {
    pub(super) bytes: Bytes,
    pub(super) member: Member,
}

/// The bytes of an archive, in a file that goes with this.
pub(super) struct Bytes {
    file: File,
    _scratch: Scratch,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Writes an archive anew, with these entries blank, so that it may be read within all these limits.
pub(super) fn archive(
    spool: &Spool,
    archive: &Spooled,
    blank: &RoaringTreemap,
    limits: impl Iterator<Item = Limits> + Clone,
) -> Result<Blanked, ErasureError> {
    if archive.is_plain {
        return plain(spool, archive, blank);
    }
    let packed = written(spool, archive, blank, CompressionMethod::Deflated)?;
    let Member {
        size, compressed_size, ..
    } = packed.member;
    // Blank entries are packed so well that it would look like a bomb.
    let is_within = |limits: Limits| size <= compressed_size.saturating_mul(limits.ratio / 2);
    match limits.clone().all(is_within) {
        true => Ok(packed),
        false => written(spool, archive, blank, CompressionMethod::Stored),
    }
}

/// The same of a data file that lies in the spool as it came, in no archive.
fn plain(spool: &Spool, archive: &Spooled, blank: &RoaringTreemap) -> Result<Blanked, ErasureError> {
    let scratch = spool.scratch()?;
    let mut file = scratch.file()?;
    let written = entries(spool, archive, blank, &file).and_then(|()| file.seek(SeekFrom::Start(0)));
    written.map_err(disk(archive))?;
    Ok(Blanked {
        bytes: Bytes {
            file,
            _scratch: scratch,
        },
        member: archive.import.reading.member.clone(),
    })
}

fn disk(archive: &Spooled) -> impl Fn(io::Error) -> ErasureError + use<> {
    let doing = format!(
        "writing import {} (`{}`) anew in the spool",
        archive.import.id, archive.import.archive
    );
    move |source| ErasureError::Disk {
        doing: doing.clone(),
        source,
    }
}

fn written(
    spool: &Spool,
    archive: &Spooled,
    blank: &RoaringTreemap,
    method: CompressionMethod,
) -> Result<Blanked, ErasureError> {
    let scratch = spool.scratch()?;
    let mut file = scratch.file()?;
    let disk = disk(archive);
    write(spool, archive, blank, method, &file).map_err(&disk)?;
    let member = member(&file, &archive.import).map_err(&disk)?;
    file.seek(SeekFrom::Start(0)).map_err(&disk)?;
    Ok(Blanked {
        bytes: Bytes {
            file,
            _scratch: scratch,
        },
        member,
    })
}

fn write(
    spool: &Spool,
    archive: &Spooled,
    blank: &RoaringTreemap,
    method: CompressionMethod,
    file: &File,
) -> io::Result<()> {
    let import = &archive.import;
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .large_file(import.reading.member.size >= ZIP64_FROM_BYTES);
    let mut out = zip::ZipWriter::new(BufWriter::with_capacity(WRITE_BYTES, file));
    out.start_file(name(import), options)?;
    entries(spool, archive, blank, &mut out)?;
    out.finish()?.flush()
}

/// Writes the array: blank entries in the place of some, the others as they are.
fn entries(spool: &Spool, archive: &Spooled, blank: &RoaringTreemap, out: impl Write) -> io::Result<()> {
    let mut text = BufWriter::with_capacity(WRITE_BYTES, out);
    text.write_all(b"[")?;
    let read = each_entry(spool.dir(), archive, |entry| {
        if entry.index > 0 {
            text.write_all(b",")?;
        }
        match blank.contains(entry.index) {
            true => text.write_all(BLANK),
            false => text.write_all(entry.raw.as_bytes()),
        }
    })?;
    // It was read a moment ago.
    read.map_err(|Unread(why)| io::Error::other(why))?;
    text.write_all(b"]")?;
    text.flush()
}

/// The member's name: another's in other letters than ASCII's would be written otherwise.
fn name(import: &Import) -> &str {
    match import.reading.member.name.as_str() {
        name if name.is_ascii() => name,
        _ => "data.json",
    }
}

/// Where the data file lies in the archive that was written.
fn member(file: &File, import: &Import) -> io::Result<Member> {
    let mut zip = zip::ZipArchive::new(file)?;
    let method = match zip.by_index_raw(0)?.compression() {
        CompressionMethod::Stored => 0,
        _ => 8,
    };
    let written = zip.by_index_raw(0)?;
    Ok(Member {
        name: name(import).to_owned(),
        index: 0,
        method,
        header_offset: written.header_start(),
        data_offset: written
            .data_start()
            .ok_or_else(|| io::Error::other("the new archive has no data"))?,
        compressed_size: written.compressed_size(),
        size: written.size(),
        crc32: written.crc32(),
    })
}
