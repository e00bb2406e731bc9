//! The archive's name: `event_history_` + `YYYYMMDDHHMMSS` + `.json.zip`.
//!
//! A name that begins as a feed's does and goes on otherwise is a near miss: somebody waits for that file, so that it is
//! failed with an explanation instead of being passed over. The digits are held against the calendar by hand, since
//! chrono's `%S` takes one digit, blanks and a second 60.

use std::sync::LazyLock;

use chrono::{NaiveDate, TimeZone, Utc};
use regex::Regex;

use super::escape::shown;
use crate::verdict::{Violation, ViolationCode};

/// What a feed's name begins with; for near misses, in any case.
const BEGINNING: &str = "event_history";

/// The form, in words.
const FORM: &str = "event_history_YYYYMMDDHHMMSS.json.zip";

/// Endings that clients give to files they are still writing.
const IN_PROGRESS: [&str; 6] = [".tmp", ".part", ".filepart", ".crdownload", ".swp", "~"];

static FEED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\Aevent_history_([0-9]{14})\.json\.zip\z").expect("a constant"));

/// What a name in the root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClass {
    /// Somebody's upload in progress, by its dot or its ending: ignored.
    InProgress,
    /// No feed at all: ignored and counted.
    Other,
    /// A feed's archive.
    Feed(FeedName),
    /// A near miss that somebody waits for: `name_malformed` or `name_timestamp`.
    NearMiss(Violation),
}

/// The name of a feed's archive. Ordered by the time in it, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedName {
    /// The time in it, UTC milliseconds.
    at: i64,
    /// The whole name.
    name: String,
}

impl FeedName {
    /// The time in the name, UTC milliseconds.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The name that the data file in it must have: this one without `.zip`.
    pub fn member(&self) -> &str {
        self.name.strip_suffix(".zip").unwrap_or(&self.name)
    }
}

/// Says what a name in the root is.
pub fn classify(name: &str) -> NameClass {
    let lower = name.to_ascii_lowercase();
    if name.starts_with('.') || IN_PROGRESS.iter().any(|ending| lower.ends_with(ending)) {
        return NameClass::InProgress;
    }
    if !lower.starts_with(BEGINNING) {
        return NameClass::Other;
    }
    let Some(form) = FEED.captures(name) else {
        return near_miss(ViolationCode::NameMalformed, malformed(name, &lower));
    };
    match time(&form[1]) {
        Ok(at) => NameClass::Feed(FeedName {
            at,
            name: name.to_owned(),
        }),
        Err(wrong) => near_miss(
            ViolationCode::NameTimestamp,
            format!(
                "`{}` in the name is no real UTC time: {wrong}; the digits are YYYYMMDDHHMMSS, as in `20191118170500`",
                &form[1]
            ),
        ),
    }
}

fn near_miss(code: ViolationCode, detail: String) -> NameClass {
    NameClass::NearMiss(Violation::new(code, detail))
}

/// The UTC milliseconds of 14 ASCII digits, or which part of them is wrong.
fn time(digits: &str) -> Result<i64, String> {
    let part = |from: usize, to: usize| {
        digits[from..to]
            .bytes()
            .fold(0, |n, digit| n * 10 + u32::from(digit - b'0'))
    };
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let (hour, minute, second) = (part(8, 10), part(10, 12), part(12, 14));
    if year == 0 {
        return Err("there is no year 0000".into());
    }
    if !(1..=12).contains(&month) {
        return Err(format!("there is no month {month:02}"));
    }
    let Some(date) = NaiveDate::from_ymd_opt(year as i32, month, day) else {
        return Err(format!("month {month:02} of {year:04} has no day {day:02}"));
    };
    if hour > 23 {
        return Err(format!("there is no hour {hour:02}; midnight is 00 of the next day"));
    }
    if minute > 59 {
        return Err(format!("there is no minute {minute:02}"));
    }
    if second > 59 {
        return Err(format!("there is no second {second:02}; leap seconds cannot be named"));
    }
    let time = date.and_hms_opt(hour, minute, second).ok_or("no such time of day")?;
    Ok(Utc.from_utc_datetime(&time).timestamp_millis())
}

/// Explains a near miss, and names the right name where it can be guessed.
fn malformed(name: &str, lower: &str) -> String {
    let wrong = what_is_wrong(name, lower);
    match guess(lower) {
        Some(right) => format!("`{}` {wrong}; name it `{right}`", shown(name)),
        None => format!("`{}` {wrong}; the form is `{FORM}`, the time in UTC", shown(name)),
    }
}

/// Endings of files that were packed otherwise, or not at all.
const ENDINGS: [(&str, &str); 16] = [
    (".json", "is not packed: put it into a zip, alone"),
    (".json.gz", "is packed with gzip: put the data file into a zip"),
    (".json.gzip", "is packed with gzip: put the data file into a zip"),
    (".json.tgz", "is a tar archive: put the data file into a zip"),
    (".json.tar", "is a tar archive: put the data file into a zip"),
    (".json.tar.gz", "is a tar archive: put the data file into a zip"),
    (".json.bz2", "is packed with bzip2: put the data file into a zip"),
    (".json.xz", "is packed with xz: put the data file into a zip"),
    (".json.zst", "is packed with zstd: put the data file into a zip"),
    (".json.7z", "is a 7z archive: pack it as zip"),
    (".json.rar", "is a rar archive: pack it as zip"),
    (".json.zipx", "ends in `.zipx`: pack it as a plain zip"),
    (".json.zip.zip", "ends in `.zip` twice"),
    (".json.json.zip", "ends in `.json` twice"),
    (".json.zip.txt", "has `.txt` after `.zip`"),
    (".ndjson.zip", "ends in `.ndjson.zip` where `.json.zip` is wanted"),
];

/// What is wrong with the name: the first thing to mend.
fn what_is_wrong(name: &str, lower: &str) -> String {
    if name.chars().any(char::is_control) {
        return "holds control characters".into();
    }
    if let Some(mark) = copy_mark(lower) {
        return format!("is marked as a copy (`{}`)", shown(mark));
    }
    if name.chars().any(char::is_whitespace) {
        return "holds blanks".into();
    }
    if !name.starts_with(BEGINNING) {
        return "does not begin with `event_history_` in lower case".into();
    }
    let rest = &lower[BEGINNING.len()..];
    let Some(rest) = rest.strip_prefix('_') else {
        return "does not have `_` after `event_history`".into();
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let ending = &rest[digits..];
    if digits != 14 {
        return format!("has {digits} digits after `event_history_` where 14 are needed");
    }
    if let Some((_, wrong)) = ENDINGS.iter().find(|(known, _)| *known == ending) {
        return (*wrong).into();
    }
    match ending {
        ".json.zip" => "does not end in `.json.zip` in lower case".into(),
        ".zip" => "lacks `.json` before `.zip`".into(),
        "" => "has no ending".into(),
        _ if ending.trim_end_matches('.') == ".json.zip" => "ends with a dot".into(),
        _ => format!(
            "goes on with `{}` after its 14 digits where `.json.zip` is wanted",
            shown(ending)
        ),
    }
}

/// What browsers and file managers add to the name of a copy.
fn copy_mark(lower: &str) -> Option<&str> {
    static MARK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[ _]?\([0-9]{1,4}\)|[ _-]+(?:copy|kopie)(?:[ _]?\(?[0-9]{1,4}\)?)?|\.[0-9]{1,4}$")
            .expect("a constant")
    });
    MARK.find(lower).map(|mark| mark.as_str())
}

/// The right name, where the near miss holds exactly one time.
fn guess(lower: &str) -> Option<String> {
    let mut times = lower[BEGINNING.len()..]
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 14 && time(digits).is_ok());
    let digits = times.next()?;
    times
        .next()
        .is_none()
        .then(|| format!("event_history_{digits}.json.zip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_named_by_a_real_utc_time() {
        let check = |digits: &str, at: i64| match classify(&format!("event_history_{digits}.json.zip")) {
            NameClass::Feed(name) => {
                assert_eq!(name.at(), at, "{digits}");
                assert_eq!(name.member(), format!("event_history_{digits}.json"));
            }
            other => panic!("{digits}: {other:?}"),
        };
        check("20191118170500", 1_574_096_700_000);
        check("19700101000000", 0);
        check("20200229235959", 1_583_020_799_000);
        check("20000229000000", 951_782_400_000);
        check("19691231235959", -1_000);
        check("99991231235959", 253_402_300_799_000);
    }

    #[test]
    fn digits_that_are_no_time_are_named() {
        let check = |digits: &str, part: &str| match classify(&format!("event_history_{digits}.json.zip")) {
            NameClass::NearMiss(violation) => {
                assert_eq!(violation.code, ViolationCode::NameTimestamp, "{digits}");
                assert!(violation.detail.contains(part), "{}", violation.detail);
            }
            other => panic!("{digits}: {other:?}"),
        };
        check("20191318170500", "month 13");
        check("20190018170500", "month 00");
        check("20190230170500", "month 02 of 2019 has no day 30");
        check("20190229170500", "day 29");
        check("19000229170500", "day 29");
        check("20191100170500", "day 00");
        check("20191131170500", "day 31");
        check("20191118240000", "hour 24");
        check("20191118176000", "minute 60");
        check("20161231235960", "second 60");
        check("00001118170500", "year 0000");
    }

    #[test]
    fn near_misses_are_explained_and_the_right_name_is_guessed() {
        const RIGHT: &str = "name it `event_history_20191118170500.json.zip`";
        let check = |name: &str, explained: &str, guessed: bool| match classify(name) {
            NameClass::NearMiss(violation) => {
                assert_eq!(violation.code, ViolationCode::NameMalformed, "{name}");
                assert!(violation.detail.contains(explained), "{}", violation.detail);
                assert_eq!(violation.detail.contains(RIGHT), guessed, "{}", violation.detail);
            }
            other => panic!("{name}: {other:?}"),
        };
        check("event_history_20191118170500.json", "not packed", true);
        check("event_history_20191118170500.json.gz", "gzip", true);
        check("event_history_20191118170500.json.ZIP", "lower case", true);
        check("event_history_20191118170500.JSON.zip", "lower case", true);
        check(
            "Event_History_20191118170500.json.zip",
            "begin with `event_history_` in lower case",
            true,
        );
        check("EVENT_HISTORY_20191118170500.JSON.ZIP", "lower case", true);
        check("event_history_20191118170500(1).json.zip", "copy (`(1)`)", true);
        check("event_history_20191118170500.json (1).zip", "copy (` (1)`)", true);
        check("event_history_20191118170500.json - Copy.zip", "copy", true);
        check("event_history_20191118170500.json.zip.1", "copy (`.1`)", true);
        check("event_history_2019111817050.json.zip", "13 digits", false);
        check("event_history_201911181705000.json.zip", "15 digits", false);
        check("event_history_.json.zip", "0 digits", false);
        check("event_history_2019-11-18.json.zip", "4 digits", false);
        check("event_history_ 20191118170500.json.zip", "blanks", true);
        check("event_history_20191118170500.json.zip ", "blanks", true);
        check("event_history_20191118170500.json.zip\n", "control characters", true);
        check("event_history_20191118170500.zip", "lacks `.json`", true);
        check("event_history_20191118170500.json.zip.", "ends with a dot", true);
        check("event_history_20191118170500", "no ending", true);
        check("event_history_20191118170500.json.zip.zip", "twice", true);
        check("event_history_20191118170500.csv", "`.csv`", true);
        check("event_history-20191118170500.json.zip", "`_` after", true);
        check("event_history", "`_` after", false);
        check("event_history_２０１９１１１８１７０５００.json.zip", "0 digits", false);
        check(
            "event_history_20191118170500\\xff.json.zip",
            "goes on with `\\xff",
            true,
        );
        check("event_history_20191318170500.json", "not packed", false);
    }

    #[test]
    fn uploads_in_progress_and_strangers_are_told_apart() {
        let check = |name: &str, expect: NameClass| assert_eq!(classify(name), expect, "{name}");
        check("event_history_20191118170500.json.zip.part", NameClass::InProgress);
        check("event_history_20191118170500.json.zip.FILEPART", NameClass::InProgress);
        check(
            "event_history_20191118170500.json.zip.crdownload",
            NameClass::InProgress,
        );
        check("event_history_20191118170500.json.zip~", NameClass::InProgress);
        check(".event_history_20191118170500.json.zip", NameClass::InProgress);
        check("notes.TMP", NameClass::InProgress);
        check(".", NameClass::InProgress);
        check("", NameClass::Other);
        check("readme.txt", NameClass::Other);
        check("my_event_history_20191118170500.json.zip", NameClass::Other);
        check("événement", NameClass::Other);
    }

    #[test]
    fn whatever_the_name_its_explanation_is_short_and_escaped() {
        for filler in ["\u{1b}[2J", "\0", "é\n", "9", ".", "(", "\u{202e}"] {
            let NameClass::NearMiss(violation) = classify(&format!("event_history_{}", filler.repeat(4_000))) else {
                panic!("{filler:?} is a near miss");
            };
            assert!(violation.detail.len() < 1_500, "{}", violation.detail.len());
            assert!(!violation.detail.chars().any(char::is_control));
        }
    }

    #[test]
    fn archives_are_ordered_by_time_and_then_by_name() {
        let at = |digits: &str| match classify(&format!("event_history_{digits}.json.zip")) {
            NameClass::Feed(name) => name,
            other => panic!("{other:?}"),
        };
        assert!(at("19691231235959") < at("19700101000000"));
        assert!(at("20191118170500") < at("20191118170501"));
    }
}
