//! The columns, how each is encoded, and what a file says of itself.
//!
//! Nothing here is new or rare, since every reader has to take it: pages of version 1, plain values and dictionaries, zstd.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, Type};

use crate::ledger::Import;

/// The columns, in their order.
///
/// `body` is a string and not of the JSON type: readers that know that type (ClickHouse, BigQuery) parse it into one of their
/// own, where `5.00` becomes `5` and a lone surrogate an error. The text is the entry as given.
const SCHEMA: &str = "
message event {
    required binary id (STRING);
    required binary event (STRING);
    optional binary user_id (STRING);
    optional binary email (STRING);
    optional binary business_unit (STRING);
    required int64 time (TIMESTAMP(MILLIS, true));
    required binary source (STRING);
    required binary archive (STRING);
    required int64 import;
    required int64 index;
    required binary body (STRING);
}";

/// Columns whose values repeat, so that a dictionary of them pays.
const REPEATING: [&str; 5] = ["event", "business_unit", "source", "archive", "import"];

/// Columns whose least and greatest value tell nobody whether to read on.
const UNORDERED: [&str; 2] = ["id", "body"];

/// Bytes to a page, before compression. A larger value has one to itself.
const PAGE_BYTES: usize = 1024 * 1024;

/// What all files of an import have in common.
pub(super) struct Shape {
    pub(super) schema: Arc<Type>,
    pub(super) properties: Arc<WriterProperties>,
    /// What the ids of the import's events begin with.
    pub(super) key: String,
    pub(super) source: ByteArray,
    pub(super) archive: ByteArray,
    pub(super) import: i64,
}

impl Shape {
    /// For one import. Level 0 does not compress.
    pub(super) fn new(level: i32, destination: &str, key: &str, import: &Import) -> Result<Shape, ParquetError> {
        Ok(Shape {
            schema: Arc::new(parse_message_type(SCHEMA)?),
            properties: Arc::new(properties(level, about(destination, import))?),
            key: key.to_owned(),
            source: import.source.as_str().into(),
            archive: import.archive.as_str().into(),
            import: import.id,
        })
    }

    /// For what is left of a file that is written anew: it says of itself what it said.
    pub(super) fn again(
        level: i32,
        key: String,
        source: ByteArray,
        archive: ByteArray,
        import: i64,
        about: Option<Vec<KeyValue>>,
    ) -> Result<Shape, ParquetError> {
        Ok(Shape {
            schema: Arc::new(parse_message_type(SCHEMA)?),
            properties: Arc::new(properties(level, about.unwrap_or_default())?),
            key,
            source,
            archive,
            import,
        })
    }
}

fn properties(level: i32, about: Vec<KeyValue>) -> Result<WriterProperties, ParquetError> {
    let compression = match level {
        0 => Compression::UNCOMPRESSED,
        level => Compression::ZSTD(ZstdLevel::try_new(level)?),
    };
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("feedgate version {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(about))
        .set_compression(compression)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_enabled(false)
        // Of a row group that is read as a whole, where its pages lie would only make footers, and memory, larger.
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in REPEATING {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column), true);
    }
    for column in UNORDERED {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::None);
    }
    Ok(builder.build())
}

/// Where a file's rows are from, for whoever finds it alone.
fn about(destination: &str, import: &Import) -> Vec<KeyValue> {
    let sha256: String = import.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        ("feedgate.version", env!("CARGO_PKG_VERSION")),
        ("feedgate.destination", destination),
        ("feedgate.source", &import.source),
        ("feedgate.archive", &import.archive),
        ("feedgate.sha256", &sha256),
        ("feedgate.import", &import.id.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()))
    .collect()
}
