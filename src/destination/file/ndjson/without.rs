//! A file of lines without somebody's.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use zstd::stream::{read::Decoder, write::Encoder};

use super::super::names;
use super::super::taking_out::{Left, Temporary};
use super::super::temporaries::Error;
use super::WRITE_BYTES;
use crate::feed::{self, DuplicateKeys, Options, Walk};
use crate::large;
use crate::ledger::Whom;
use crate::verdict::FeedKind;

/// Level for a compressed file where the configuration says plain by now.
const ZSTD_LEVEL: i32 = 3;

/// Of a line, what tells whose it is.
#[derive(Deserialize)]
struct Line<'a> {
    import: i64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Looks for a person's lines in a file; if there are any, all others are written to another.
pub(in crate::destination::file) fn without(path: &Path, whom: &Whom, level: i32) -> Result<Left, Error> {
    let failed = |error| (path.to_owned(), error);
    let (mut theirs, mut others) = (0_u64, 0_u64);
    each_line(path, |line| {
        match is_of(line, whom) {
            true => theirs += 1,
            false => others += 1,
        }
        Ok(())
    })
    .map_err(failed)?;
    if theirs == 0 {
        return Ok(Left::AsItWas);
    }
    if others == 0 {
        return Ok(Left::Nothing);
    }
    let (temporary, file) = Temporary::beside(path)?;
    let out = BufWriter::with_capacity(WRITE_BYTES, file);
    let level = if level == 0 { ZSTD_LEVEL } else { level };
    let copied = match is_compressed(path) {
        false => copy(path, whom, out).and_then(|mut out| out.flush()),
        true => Encoder::new(out, level)
            .and_then(|mut out| {
                out.include_checksum(true)?;
                Ok(out)
            })
            .and_then(|out| copy(path, whom, out)?.finish()?.flush()),
    };
    copied.map_err(|error| (temporary.path.clone(), error))?;
    Ok(Left::File(temporary))
}

fn copy<W: Write>(path: &Path, whom: &Whom, mut out: W) -> io::Result<W> {
    each_line(path, |line| match is_of(line, whom) {
        true => Ok(()),
        false => out.write_all(line),
    })?;
    Ok(out)
}

fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = File::open(path)?;
    let mut read: Box<dyn BufRead> = match is_compressed(path) {
        true => Box::new(BufReader::with_capacity(WRITE_BYTES, Decoder::new(file)?)),
        false => Box::new(BufReader::with_capacity(WRITE_BYTES, file)),
    };
    let mut line = Vec::new();
    while read.read_until(b'\n', &mut line)? > 0 {
        take(&line)?;
        large::clear(&mut line);
    }
    Ok(())
}

/// Whether a line is a person's. One that is none of ours is nobody's.
fn is_of(line: &[u8], whom: &Whom) -> bool {
    let Ok(Line { import, body }) = serde_json::from_slice(line) else {
        return false;
    };
    // What the file holds was an entry once, whatever its size and depth were allowed to be.
    let options = Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Last,
        entry_bytes_max: u64::MAX,
        depth_max: u32::MAX,
        kind: FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    };
    let array = b"[".chain(body.get().as_bytes()).chain(&b"]"[..]);
    let mut walk = Walk::new(array, &options);
    let Ok(Some(entry)) = walk.next() else { return false };
    let keys = feed::extract(&entry, &options);
    // The body is as the partner sent it: the default unit of those days is not in it.
    let unit = keys.business_unit.as_deref().or_else(|| whom.default_unit_of(import));
    whom.is(keys.id.as_deref(), keys.email.as_deref(), unit)
}

fn is_compressed(path: &Path) -> bool {
    path.to_string_lossy().ends_with(names::NDJSON_ZSTD)
}
