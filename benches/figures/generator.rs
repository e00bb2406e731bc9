//! Archives as partners send them, made up: the same bytes from the same seed.
//!
//! An entry is about 530 bytes of JSON with as much that cannot be guessed as a real one has: an id of 64 random hexadecimal
//! digits, an order number, an e-mail address, prices, one or two products out of 5,000, names beyond ASCII. Feeds that repeat
//! themselves deflate to nothing, and every figure taken on them is wrong.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What partners' own tools pack with, unless told otherwise.
const LEVEL: i64 = 6;

const NAMES: &[&str] = &[
    "ada", "bob", "chlo", "drte", "emile", "fatima", "gunther", "hakan", "ines", "jurgen", "lukasz", "marta", "nuno",
    "zoe",
];
/// The names of all events.
pub const EVENTS: &[&str] = &[
    "Completed Order",
    "Changed Order Status",
    "Viewed Product",
    "Added Product",
    "Subscribed Newsletter",
    "User Login",
    "Viewed Page",
];
const UNITS: &[&str] = &["DE", "FR", "AT", "CH"];
const PRODUCTS: &[(&str, &str)] = &[
    ("Ribbon Lace, B:2,5cm x L:3m, white", "Decorative Bands"),
    ("Müsli Schale \\\"Blau\\\"", "Küche"),
    ("Kissen 40×40", "Wohnen"),
    ("Bougie parfumée “Été”", "Décoration"),
    ("Łyżka do zupy, 6 szt.", "Kuchnia"),
    ("Tuch / Schal", "Accessoires"),
    ("Cap", "Hats"),
    ("Blåbærsyltetøy 400 g", "Mat"),
];

/// The name of an archive: the `number`th second of the year 2024.
pub fn archive_name(number: usize) -> String {
    format!("event_history_{}.json.zip", stamp(number))
}

/// Writes an archive of `entries` entries.
pub fn archive(path: &Path, number: usize, entries: usize) -> Result<()> {
    pack(path, number, |out| feed(out, number as u64, entries))
}

/// Writes an archive whose feed breaks off.
pub fn broken(path: &Path, number: usize) -> Result<()> {
    pack(path, number, |out| {
        write!(out, r#"[{{"event":"Viewed Page","id":"{number}"}},"#)
    })
}

/// Writes an archive, under another name until it is whole.
fn pack(path: &Path, number: usize, feed: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let doing = || format!("making {}", path.display());
    let begun = path.with_extension("begun");
    let mut zip = ZipWriter::new(BufWriter::new(File::create(&begun).with_context(doing)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL));
    zip.start_file(format!("event_history_{}.json", stamp(number)), options)?;
    feed(&mut zip).with_context(doing)?;
    zip.finish()?.flush().with_context(doing)?;
    fs::rename(&begun, path).with_context(doing)
}

/// Writes the JSON array alone.
fn feed(out: &mut dyn Write, seed: u64, entries: usize) -> std::io::Result<()> {
    let mut rng = Rng::with_seed(seed);
    let skus: Vec<u32> = (0..5_000).map(|_| rng.u32(0..10_000_000)).collect();
    let mut text = String::from("[");
    for index in 0..entries {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        entry(&mut text, &mut rng, &skus).expect("a String takes everything");
        if text.len() > 256 * 1024 {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    text.push_str("\n]\n");
    out.write_all(text.as_bytes())
}

fn entry(text: &mut String, rng: &mut Rng, skus: &[u32]) -> std::fmt::Result {
    let total = rng.u32(0..100_000);
    write!(
        text,
        r#"{{"event":"{}","orderId":"{:010}","timestamp":"2024-{:02}-{:02}T{:02}:{:02}:{:02}Z","id":"{:032x}{:032x}","email":"{}.{}@example{}.com","businessUnit":"{}","total":{},"discount":0,"shipping":{},"cart":{{"currency":"EUR","total":{},"products":["#,
        pick(rng, EVENTS),
        rng.u64(0..10_000_000_000),
        rng.u8(1..=12),
        rng.u8(1..=28),
        rng.u8(0..24),
        rng.u8(0..60),
        rng.u8(0..60),
        rng.u128(..),
        rng.u128(..),
        pick(rng, NAMES),
        rng.u32(0..1_000_000_000),
        rng.u32(0..500),
        pick(rng, UNITS),
        Cents(total),
        Cents(rng.u32(0..1_000)),
        Cents(total),
    )?;
    for product in 0..rng.usize(1..=2) {
        let which = rng.usize(0..skus.len());
        let (sku, (name, category)) = (skus[which], PRODUCTS[which % PRODUCTS.len()]);
        write!(
            text,
            r#"{}{{"sku":"AMA{sku:07}DE","currency":"EUR","quantity":{},"price":{},"name":"{name}","category":"{category}","id":"AMA{sku:07}DE"}}"#,
            if product == 0 { "" } else { "," },
            rng.u8(1..5),
            Cents(rng.u32(0..10_000)),
        )?;
    }
    text.push_str("]}}");
    Ok(())
}

/// An amount of money, printed as JSON numbers usually are: without superfluous zeros.
struct Cents(u32);

impl std::fmt::Display for Cents {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", f64::from(self.0) / 100.0)
    }
}

fn pick<'a>(rng: &mut Rng, among: &[&'a str]) -> &'a str {
    among[rng.usize(0..among.len())]
}

fn stamp(number: usize) -> String {
    let new_year: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::seconds(1_704_067_200);
    let at = new_year + TimeDelta::seconds(number as i64);
    at.format("%Y%m%d%H%M%S").to_string()
}
