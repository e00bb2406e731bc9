//! The yardstick: the archive's member inflated by zlib-rs, in steps of 256 KiB, and thrown away. Nobody reads a feed for less.
//!
//! It runs as a process of its own (this program, told so), as what it is compared with does.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::bufread::DeflateDecoder;

const STEP: usize = 256 * 1024;

/// Inflates the first member of an archive; returns its length.
pub fn inflate(archive: &Path) -> Result<u64> {
    let file = File::open(archive).with_context(|| format!("opening {}", archive.display()))?;
    let mut packed = BufReader::with_capacity(STEP, file);
    // The local header: 30 bytes, of which the last four say how much of name and extra field follows.
    let mut header = [0; 30];
    packed.read_exact(&mut header)?;
    ensure!(
        header.starts_with(b"PK\x03\x04"),
        "{} does not begin as a zip",
        archive.display()
    );
    let length_at = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let rest = length_at(26) + length_at(28);
    std::io::copy(&mut packed.by_ref().take(rest), &mut std::io::sink())?;
    let mut inflating = DeflateDecoder::new(packed);
    let mut step = vec![0; STEP];
    let mut length = 0;
    while let count @ 1.. = inflating.read(&mut step)? {
        length += count as u64;
    }
    Ok(length)
}
