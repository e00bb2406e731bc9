//! Any text as the time of an entry, against chrono; any number as a time to be written, likewise.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate};
use feedgate::events::{push_date, push_utc};
use feedgate::feed::{DuplicateKeys, Entry, Options, Verdict, Walk, judge};
use regex::Regex;

/// The forms that the specification takes: date; hour and minute; second and fraction; offset.
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    let tail = r"(?:[.,]([0-9]+))?";
    let times = [":", r"\."].map(|sign| format!("([0-9]{{2}}){sign}([0-9]{{2}})(?:{sign}([0-9]{{2}}){tail})?"));
    let offset = "(Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)?";
    let form = format!(
        r"\A([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[Tt ](?:{}|{}){offset})?\z",
        times[0], times[1]
    );
    Regex::new(&form).expect("a constant")
});

/// Holds reading and writing against chrono's.
pub fn run(bytes: &[u8]) {
    if let Some(number) = bytes.first_chunk() {
        written(i64::from_le_bytes(*number));
    }
    read(&String::from_utf8_lossy(bytes));
}

fn read(text: &str) {
    let feed = serde_json::json!([{ "event": "e", "id": "1", "timestamp": text }]).to_string();
    let options = Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Reject,
        entry_bytes_max: 1 << 24,
        depth_max: 8,
        kind: feedgate::verdict::FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    };
    let mut walk = Walk::new(feed.as_bytes(), &options);
    let entry = walk.next().expect("it is JSON").expect("there is an entry");
    let ours = match judge(&entry, &options) {
        // An empty one is as none.
        Verdict::Accepted(Entry { timestamp: None, .. }, _) => return,
        Verdict::Accepted(entry, _) => entry.timestamp,
        Verdict::Rejected(_) => None,
    };
    assert_eq!(ours, by_chrono(text), "{text:?}");
}

/// The same text put into the one form that chrono reads strictly.
fn by_chrono(text: &str) -> Option<i64> {
    let form = FORM.captures(text)?;
    let part = |one: usize, other: usize| form.get(one).or(form.get(other)).map_or("", |part| part.as_str());
    let or_00 = |text: &str| {
        if text.is_empty() {
            "00".to_owned()
        } else {
            text.to_owned()
        }
    };
    let (hour, minute, second) = (or_00(part(2, 6)), or_00(part(3, 7)), or_00(part(4, 8)));
    let fraction: String = part(5, 9).chars().chain("000".chars()).take(3).collect();
    let offset = match form.get(10).map_or("", |offset| offset.as_str()) {
        "" | "Z" | "z" => "+00:00".to_owned(),
        short if short.len() == 3 => format!("{short}:00"),
        long => format!("{}:{}", &long[..3], &long[long.len() - 2..]),
    };
    if second == "60" {
        return None; // chrono takes a leap second
    }
    let text = format!("{}T{hour}:{minute}:{second}.{fraction}{offset}", &form[1]);
    let ms = DateTime::parse_from_rfc3339(&text).ok()?.timestamp_millis();
    let year = |year| NaiveDate::from_ymd_opt(year, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
    let edge = |number| year(number).expect("a year").and_utc().timestamp_millis();
    (edge(0)..edge(10_000)).contains(&ms).then_some(ms)
}

fn written(ms: i64) {
    let (mut time, mut date) = (String::new(), String::new());
    push_utc(&mut time, ms);
    push_date(&mut date, ms);
    assert!(time.starts_with(&date));
    let years = -62_167_219_200_000..253_402_300_800_000; // 0000 to 9999
    if years.contains(&ms) {
        let theirs = DateTime::from_timestamp_millis(ms).expect("within chrono's years");
        assert_eq!(time, theirs.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    }
}
