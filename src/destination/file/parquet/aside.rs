//! Rows set aside on disk, for a day that has too few at a time to make row groups of.
//!
//! A feed whose entries are of every day of a year would come to tens of thousands of tiny row groups, or files. Its rows are
//! appended to a temporary per day instead, compressed lightly, and read again when the import is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use zstd::stream::{read::Decoder, write::Encoder};

use super::rows::{Row, Rows};

/// Compression costs about as much time as it saves at the disk.
const LEVEL: i32 = 1;

/// Length of a text that is not there.
const NULL: u64 = u64::MAX;

/// A day's rows on disk.
pub(super) struct Aside {
    pub(super) path: PathBuf,
}

/// Reads them again, in the order they were appended in.
pub(super) struct Again {
    rows: Decoder<'static, BufReader<File>>,
    texts: [Vec<u8>; 5],
}

impl Aside {
    /// Appends rows.
    pub(super) fn append(&self, rows: Rows) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(&self.path)?;
        let mut out = Encoder::new(BufWriter::new(file), LEVEL)?;
        rows.into_rows(|row| put(&mut out, row))?;
        out.finish()?.flush()
    }

    /// Reads them again.
    pub(super) fn again(&self) -> io::Result<Again> {
        Again::open(&self.path)
    }
}

fn put(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    out.write_all(&row.index.to_le_bytes())?;
    out.write_all(&u64::from(row.item).to_le_bytes())?;
    out.write_all(&row.time.to_le_bytes())?;
    for text in row.texts {
        let len = text.map_or(NULL, |text| text.len() as u64);
        out.write_all(&len.to_le_bytes())?;
        out.write_all(text.unwrap_or_default())?;
    }
    Ok(())
}

impl Again {
    fn open(path: &Path) -> io::Result<Again> {
        Ok(Again {
            rows: Decoder::new(File::open(path)?)?,
            texts: Default::default(),
        })
    }

    /// The next row, if there is one.
    pub(super) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        let mut index = [0; 8];
        // Only here may it end.
        if self.rows.read(&mut index[..1])? == 0 {
            return Ok(None);
        }
        self.rows.read_exact(&mut index[1..])?;
        let item = self.number()?;
        let time = self.number()?;
        let mut is_there = [false; 5];
        for (column, is_there) in is_there.iter_mut().enumerate() {
            let len = self.number()?;
            *is_there = len != NULL;
            let text = &mut self.texts[column];
            text.clear();
            if *is_there && (&mut self.rows).take(len).read_to_end(text)? as u64 != len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut texts = [None; 5];
        for (column, text) in texts.iter_mut().enumerate() {
            *text = is_there[column].then_some(self.texts[column].as_slice());
        }
        Ok(Some(Row {
            index: u64::from_le_bytes(index),
            // Written as wide as everything else; it was a u32.
            item: u32::try_from(item).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?,
            time: time.cast_signed(),
            texts,
        }))
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.rows.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
