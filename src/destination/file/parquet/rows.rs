//! Rows in memory, by column, until they are written as a row group.

use std::fmt::Display;
use std::io::Write;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::schema::Shape;
use crate::events::Event;

/// What a row takes besides its texts: numbers, and where its texts end.
const ROW_BYTES: usize = 80;

/// Some rows. What is the same for a whole import is not among them.
#[derive(Default)]
pub(super) struct Rows {
    ids: Texts,
    events: Texts,
    user_ids: Texts,
    emails: Texts,
    business_units: Texts,
    times: Vec<i64>,
    indexes: Vec<i64>,
    bodies: Texts,
    bytes: usize,
}

/// A column of texts, end to end.
#[derive(Default)]
struct Texts {
    text: Vec<u8>,
    /// Where each value ends; nulls have none.
    ends: Vec<usize>,
    /// 1 for each row with a value, 0 for each without.
    levels: Vec<i16>,
}

/// Memory that an event takes as a row, in bytes.
pub(super) fn bytes_of(event: &Event<'_>) -> usize {
    let texts = [
        Some(event.name()),
        event.user_id,
        event.email,
        event.business_unit,
        Some(event.body),
    ];
    let texts: usize = texts.into_iter().flatten().map(str::len).sum();
    texts + event.id.key.len() + ROW_BYTES
}

impl Rows {
    /// Memory they take, in bytes, as [`bytes_of`] counts; 0 if there are none.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a row.
    pub(super) fn push(&mut self, event: &Event<'_>) {
        self.bytes += bytes_of(event);
        self.ids.push_shown(event.id);
        self.events.push(Some(event.name()));
        self.user_ids.push(event.user_id);
        self.emails.push(event.email);
        self.business_units.push(event.business_unit);
        self.times.push(event.at);
        // No feed has so many entries that this could fail: each takes a byte at least.
        self.indexes.push(i64::try_from(event.index).unwrap_or(i64::MAX));
        self.bodies.push(Some(event.body));
    }

    /// Writes them as a row group. Each column's memory is given back as soon as it is written.
    pub(super) fn write<W: Write + Send>(
        self,
        out: &mut SerializedFileWriter<W>,
        shape: &Shape,
    ) -> Result<(), ParquetError> {
        let count = self.indexes.len();
        let mut group = out.next_row_group()?;
        self.ids.write(&mut group)?;
        self.events.write(&mut group)?;
        self.user_ids.write_optional(&mut group)?;
        self.emails.write_optional(&mut group)?;
        self.business_units.write_optional(&mut group)?;
        write_column::<Int64Type>(&mut group, &self.times, None)?;
        write_column::<ByteArrayType>(&mut group, &vec![shape.source.clone(); count], None)?;
        write_column::<ByteArrayType>(&mut group, &vec![shape.archive.clone(); count], None)?;
        write_column::<Int64Type>(&mut group, &vec![shape.import; count], None)?;
        write_column::<Int64Type>(&mut group, &self.indexes, None)?;
        self.bodies.write(&mut group)?;
        group.close()?;
        Ok(())
    }
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        self.levels.push(i16::from(text.is_some()));
        if let Some(text) = text {
            self.text.extend_from_slice(text.as_bytes());
            self.ends.push(self.text.len());
        }
    }

    fn push_shown(&mut self, shown: impl Display) {
        // Writing to a vector does not fail.
        write!(self.text, "{shown}").ok();
        self.ends.push(self.text.len());
    }

    fn write<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        write_column::<ByteArrayType>(group, &values(self.text, &self.ends), None)
    }

    fn write_optional<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        write_column::<ByteArrayType>(group, &values(self.text, &self.ends), Some(&self.levels))
    }
}

/// The values of a column, which share one memory.
fn values(text: Vec<u8>, ends: &[usize]) -> Vec<ByteArray> {
    let text = ByteArray::from(text);
    let starts = std::iter::once(&0).chain(ends);
    starts
        .zip(ends)
        .map(|(start, end)| text.slice(*start, end - start))
        .collect()
}

/// Writes the next column of a row group.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "the schema has fewer columns than a row".to_owned(),
        ));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
