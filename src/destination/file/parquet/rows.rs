//! Rows in memory, by column, until they are written as a row group.

use std::io::Write;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::schema::Shape;
use crate::events::{Event, EventId};

/// What a row takes besides its texts: numbers, and five handles on texts.
const ROW_BYTES: usize = 2 * size_of::<i64>() + size_of::<u32>() + 5 * size_of::<ByteArray>();

/// Texts are gathered in pieces of memory of at least and at most so many bytes. A vector that grows would be copied, and
/// what it was copied from lie about in holes that the next one does not fit into.
const PIECE_BYTES: std::ops::RangeInclusive<usize> = 512..=64 * 1024;

/// What of an event is a row's own, and not the same for a whole import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) index: u64,
    /// Number among the events made of the entry.
    pub(super) item: u32,
    pub(super) time: i64,
    /// Event, user id, e-mail, business unit, body.
    pub(super) texts: [Option<&'a [u8]>; 5],
}

/// Some rows.
#[derive(Default)]
pub(super) struct Rows {
    indexes: Vec<u64>,
    items: Vec<u32>,
    times: Vec<i64>,
    texts: [Texts; 5],
    bytes: usize,
}

/// A column of texts.
#[derive(Default)]
struct Texts {
    /// Those whose piece of memory is full.
    values: Vec<ByteArray>,
    /// The piece that is being filled.
    piece: Vec<u8>,
    /// Where each text in it ends.
    ends: Vec<usize>,
    /// 1 for each row with a text, 0 for each without.
    levels: Vec<i16>,
    bytes: usize,
}

impl<'a> Row<'a> {
    /// An event's row.
    pub(super) fn of(event: &Event<'a>) -> Row<'a> {
        Row {
            index: event.index,
            item: event.id.item,
            time: event.at,
            texts: [
                Some(event.name().as_bytes()),
                event.user_id.map(str::as_bytes),
                event.email.map(str::as_bytes),
                event.business_unit.map(str::as_bytes),
                Some(event.body.as_bytes()),
            ],
        }
    }

    /// Memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        ROW_BYTES + self.texts.iter().flatten().map(|text| text.len()).sum::<usize>()
    }
}

impl Rows {
    /// Memory they take, in bytes; 0 if there are none.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a row.
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.bytes += row.bytes();
        self.indexes.push(row.index);
        self.items.push(row.item);
        self.times.push(row.time);
        for (column, text) in self.texts.iter_mut().zip(row.texts) {
            column.push(text);
        }
    }

    /// Writes them as a row group. Each column's memory is given back as soon as it is written.
    pub(super) fn write<W: Write + Send>(
        self,
        out: &mut SerializedFileWriter<W>,
        shape: &Shape,
    ) -> Result<(), ParquetError> {
        let Rows {
            indexes,
            items,
            times,
            texts,
            ..
        } = self;
        let [events, user_ids, emails, business_units, bodies] = texts;
        let mut ids = Texts::default();
        for (&index, &item) in indexes.iter().zip(&items) {
            let key = shape.key.as_str();
            ids.push(Some(EventId { key, index, item }.to_string().as_bytes()));
        }
        // No feed has so many entries that this could wrap: each takes a byte at least.
        let indexes: Vec<i64> = indexes.into_iter().map(u64::cast_signed).collect();
        let all = |text: &ByteArray| vec![text.clone(); indexes.len()];
        let mut group = out.next_row_group()?;
        ids.write(&mut group)?;
        events.write(&mut group)?;
        user_ids.write_optional(&mut group)?;
        emails.write_optional(&mut group)?;
        business_units.write_optional(&mut group)?;
        write_column::<Int64Type>(&mut group, &times, None)?;
        write_column::<ByteArrayType>(&mut group, &all(&shape.source), None)?;
        write_column::<ByteArrayType>(&mut group, &all(&shape.archive), None)?;
        write_column::<Int64Type>(&mut group, &vec![shape.import; indexes.len()], None)?;
        write_column::<Int64Type>(&mut group, &indexes, None)?;
        bodies.write(&mut group)?;
        group.close()?;
        Ok(())
    }

    /// They are handed out in order, to be set aside.
    pub(super) fn into_rows(self, mut take: impl FnMut(&Row<'_>) -> std::io::Result<()>) -> std::io::Result<()> {
        let levels = self.texts.each_ref().map(|column| column.levels.clone());
        let values = self.texts.map(Texts::into_values);
        let mut next = [0; 5];
        for (row, (index, time)) in self.indexes.iter().zip(&self.times).enumerate() {
            let mut texts = [None; 5];
            for (column, text) in texts.iter_mut().enumerate() {
                if levels[column][row] == 1 {
                    *text = Some(values[column][next[column]].data());
                    next[column] += 1;
                }
            }
            take(&Row {
                index: *index,
                item: self.items[row],
                time: *time,
                texts,
            })?;
        }
        Ok(())
    }
}

impl Texts {
    fn push(&mut self, text: Option<&[u8]>) {
        self.levels.push(i16::from(text.is_some()));
        let Some(text) = text else { return };
        if self.piece.len() + text.len() > self.piece.capacity() {
            self.seal();
            let wanted = self.bytes.clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end());
            self.piece = Vec::with_capacity(wanted.max(text.len()));
        }
        self.piece.extend_from_slice(text);
        self.ends.push(self.piece.len());
        self.bytes += text.len();
    }

    /// The texts of the piece in hand become values that share its memory.
    fn seal(&mut self) {
        let piece = ByteArray::from(std::mem::take(&mut self.piece));
        let mut start = 0;
        for end in self.ends.drain(..) {
            self.values.push(piece.slice(start, end - start));
            start = end;
        }
    }

    fn into_values(mut self) -> Vec<ByteArray> {
        self.seal();
        self.values
    }

    fn write<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        write_column::<ByteArrayType>(group, &self.into_values(), None)
    }

    fn write_optional<W: Write + Send>(
        mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let levels = std::mem::take(&mut self.levels);
        write_column::<ByteArrayType>(group, &self.into_values(), Some(&levels))
    }
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
