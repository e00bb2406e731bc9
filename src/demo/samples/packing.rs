//! Zips, honest and not quite.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// How a file is packed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Stored,
    Deflate,
}

/// A zip with one file in it.
pub(super) fn pack(member: &str, data: &[u8], method: Method) -> Vec<u8> {
    let method = match method {
        Method::Stored => CompressionMethod::Stored,
        Method::Deflate => CompressionMethod::Deflated,
    };
    zipped(&[(member, data)], method)
}

/// A zip with several files in it.
pub(super) fn pack_many(files: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(files, CompressionMethod::Deflated)
}

fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(method);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        zip.start_file(*name, options).expect("memory takes a file");
        zip.write_all(data).expect("memory takes bytes");
    }
    zip.finish().expect("memory takes a directory").into_inner()
}

/// The zip with a digit of its (stored) data changed.
pub(super) fn spoilt(mut zip: Vec<u8>) -> Vec<u8> {
    let price = find(&zip, b"19.90").expect("the feed has a price, and is stored");
    zip[price] = b'7';
    zip
}

/// The zip with both its headers saying that the data is encrypted (APPNOTE 4.4.4, bit 0). That the data is not makes no
/// difference to somebody who has no password.
pub(super) fn encrypted(mut zip: Vec<u8>) -> Vec<u8> {
    let local = find(&zip, b"PK\x03\x04").expect("a zip has a local header");
    let central = find(&zip, b"PK\x01\x02").expect("a zip has a directory");
    zip[local + 6] |= 1;
    zip[central + 8] |= 1;
    zip
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn each_is_wrong_in_the_one_way_it_says() {
        let read = |zip: Vec<u8>| -> Result<String, String> {
            let mut zip = zip::ZipArchive::new(Cursor::new(zip)).map_err(|e| e.to_string())?;
            let mut text = String::new();
            zip.by_index(0)
                .map_err(|e| e.to_string())?
                .read_to_string(&mut text)
                .map_err(|e| e.to_string())?;
            Ok(text)
        };
        let data = b"[{\"price\": 19.90}]";
        assert_eq!(read(pack("a.json", data, Method::Stored)).unwrap().as_bytes(), data);
        assert_eq!(read(pack("a.json", data, Method::Deflate)).unwrap().as_bytes(), data);
        assert!(
            read(spoilt(pack("a.json", data, Method::Stored)))
                .unwrap_err()
                .to_lowercase()
                .contains("checksum")
        );
        assert!(
            read(encrypted(pack("a.json", data, Method::Deflate)))
                .unwrap_err()
                .to_lowercase()
                .contains("password")
        );
    }
}
