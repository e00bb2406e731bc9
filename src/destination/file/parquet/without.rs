//! A Parquet file without somebody's rows.
//!
//! Row group by row group, each of which was small enough to be held in memory when it was written.

use std::fs::File;
use std::path::Path;

use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;

use super::super::taking_out::{Left, Temporary};
use super::super::temporaries::Error;
use super::rows::{Row, Rows};
use super::schema::Shape;
use super::{names, of_parquet, on_a_thread_of_its_own};
use crate::events::item_of;
use crate::ledger::Whom;

/// Where each column is.
const ID: usize = 0;
const EVENT: usize = 1;
const USER_ID: usize = 2;
const EMAIL: usize = 3;
const BUSINESS_UNIT: usize = 4;
const TIME: usize = 5;
const SOURCE: usize = 6;
const ARCHIVE: usize = 7;
const IMPORT: usize = 8;
const INDEX: usize = 9;
const BODY: usize = 10;

/// Looks for a person's rows in a file; if there are any, all others are written to another.
pub(in crate::destination::file) fn without(path: &Path, whom: &Whom, level: i32) -> Result<Left, Error> {
    let failed = |error| (path.to_owned(), of_parquet(error));
    let file = File::open(path).map_err(|error| (path.to_owned(), error))?;
    let reader = SerializedFileReader::new(file).map_err(failed)?;
    let (theirs, all) = count(&reader, whom).map_err(failed)?;
    match theirs {
        0 => return Ok(Left::AsItWas),
        theirs if theirs == all => return Ok(Left::Nothing),
        _ => {}
    }
    let (temporary, out) = Temporary::beside(path)?;
    on_a_thread_of_its_own(|| copy(path, &reader, out, whom, level))
        .map_err(|error| (temporary.path.clone(), of_parquet(error)))?;
    Ok(Left::File(temporary))
}

/// How many rows are theirs, and how many there are.
fn count(reader: &SerializedFileReader<File>, whom: &Whom) -> Result<(usize, usize), ParquetError> {
    let (mut theirs, mut all) = (0, 0);
    for number in 0..reader.num_row_groups() {
        let of_each = are_of(&*reader.get_row_group(number)?, whom)?;
        all += of_each.len();
        theirs += of_each.iter().filter(|is_theirs| **is_theirs).count();
    }
    Ok((theirs, all))
}

/// Of each row, whether it is theirs.
fn are_of(group: &dyn RowGroupReader, whom: &Whom) -> Result<Vec<bool>, ParquetError> {
    let (ids, emails) = (texts(group, USER_ID)?, texts(group, EMAIL)?);
    let units = texts(group, BUSINESS_UNIT)?;
    let all = ids.iter().zip(&emails).zip(&units);
    Ok(all
        .map(|((id, email), unit)| whom.is(as_str(id), as_str(email), as_str(unit)))
        .collect())
}

fn copy(
    path: &Path,
    reader: &SerializedFileReader<File>,
    out: File,
    whom: &Whom,
    level: i32,
) -> Result<(), ParquetError> {
    let shape = shape_of(path, reader, level)?;
    let mut out = SerializedFileWriter::new(out, shape.schema.clone(), shape.properties.clone())?;
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number)?;
        let are_theirs = are_of(&*group, whom)?;
        let rows = rows_but(&*group, &are_theirs)?;
        if rows.bytes() > 0 {
            rows.write(&mut out, &shape)?;
        }
    }
    out.close()?;
    Ok(())
}

fn rows_but(group: &dyn RowGroupReader, left_out: &[bool]) -> Result<Rows, ParquetError> {
    let (ids, indexes, times) = (texts(group, ID)?, numbers(group, INDEX)?, numbers(group, TIME)?);
    let mut columns = Vec::new();
    for column in [EVENT, USER_ID, EMAIL, BUSINESS_UNIT, BODY] {
        columns.push(texts(group, column)?);
    }
    let mut rows = Rows::default();
    for (row, _) in left_out.iter().enumerate().filter(|(_, left_out)| !**left_out) {
        let mut texts = [None; 5];
        for (text, column) in texts.iter_mut().zip(&columns) {
            *text = column[row].as_ref().map(ByteArray::data);
        }
        rows.push(&Row {
            index: indexes[row].cast_unsigned(),
            item: ids[row].as_ref().and_then(|id| id.as_utf8().ok()).map_or(0, item_of),
            time: times[row],
            texts,
        });
    }
    Ok(rows)
}

/// What the file's rows have in common, and what it says of itself: as it was.
fn shape_of(path: &Path, reader: &SerializedFileReader<File>, level: i32) -> Result<Shape, ParquetError> {
    let group = reader.get_row_group(0)?;
    let first = |column| -> Result<ByteArray, ParquetError> {
        let value = texts(&*group, column)?.into_iter().next().flatten();
        value.ok_or_else(|| ParquetError::General("a row group has no rows".to_owned()))
    };
    let import = numbers(&*group, IMPORT)?.first().copied().unwrap_or_default();
    let about = reader.metadata().file_metadata().key_value_metadata().cloned();
    Shape::again(
        level,
        names::key_of(path),
        first(SOURCE)?,
        first(ARCHIVE)?,
        import,
        about,
    )
}

fn texts(group: &dyn RowGroupReader, column: usize) -> Result<Vec<Option<ByteArray>>, ParquetError> {
    let (levels, values) = read::<ByteArrayType>(group, column)?;
    if levels.is_empty() {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels
        .into_iter()
        .map(|level| if level == 1 { values.next() } else { None })
        .collect())
}

fn numbers(group: &dyn RowGroupReader, column: usize) -> Result<Vec<i64>, ParquetError> {
    Ok(read::<Int64Type>(group, column)?.1)
}

/// A column's values, and where it has none: no levels, where it always has one.
fn read<T: DataType>(group: &dyn RowGroupReader, column: usize) -> Result<(Vec<i16>, Vec<T::T>), ParquetError> {
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
    let is_optional = group.metadata().column(column).column_descr().max_def_level() > 0;
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column)?);
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let mut done = 0;
    while done < rows {
        let (records, ..) = reader.read_records(rows - done, is_optional.then_some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::General(
                "a column has fewer rows than its row group".to_owned(),
            ));
        }
        done += records;
    }
    Ok((levels, values))
}

fn as_str(text: &Option<ByteArray>) -> Option<&str> {
    text.as_ref().and_then(|text| std::str::from_utf8(text.data()).ok())
}
