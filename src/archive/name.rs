//! A feed's name: `event_history_` + `YYYYMMDDHHMMSS` + `.json.zip`, and the same with `order_history_`; for the two files of
//! a user feed `user_feed_header_` and `user_feed_data_` + `YYYYMMDDHHMMSS` + `.json`.
//!
//! A name that begins as a feed's does and goes on otherwise is a near miss: somebody waits for that file, so that it is
//! failed with an explanation instead of being passed over. The digits are held against the calendar by hand, since
//! chrono's `%S` takes one digit, blanks and a second 60.

use std::sync::LazyLock;

use chrono::{NaiveDate, TimeZone, Utc};
use regex::Regex;

use super::near_miss;
use crate::verdict::{FeedKind, Violation, ViolationCode};

/// What a feed's name begins with, for near misses in any case, and what it has after its digits. Whoever gave a name that
/// begins as a user feed's and goes on otherwise is told of both of its files.
pub(super) struct Form {
    /// Of a name that is right: what it is.
    pub kind: FeedKind,
    /// What it begins with, but for the `_` before the digits.
    pub beginning: &'static str,
    /// What follows the digits.
    pub ending: &'static str,
}

/// Every form there is.
pub(super) const FORMS: [Form; 4] = [
    Form {
        kind: FeedKind::Events,
        beginning: "event_history",
        ending: ".json.zip",
    },
    Form {
        kind: FeedKind::Orders,
        beginning: "order_history",
        ending: ".json.zip",
    },
    Form {
        kind: FeedKind::Header,
        beginning: "user_feed_header",
        ending: ".json",
    },
    Form {
        kind: FeedKind::Users,
        beginning: "user_feed_data",
        ending: ".json",
    },
];

/// What a name begins with that is a user feed's and of neither form.
pub(super) const USER_FEED: &str = "user_feed";

impl Form {
    /// The form of a name that begins so, in whatever case.
    pub fn of(name: &str) -> Option<&'static Form> {
        FORMS.iter().find(|form| begins(name, form.beginning))
    }
}

/// Whether a name begins so, in whatever case.
fn begins(name: &str, beginning: &str) -> bool {
    let head = name.as_bytes().get(..beginning.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(beginning.as_bytes()))
}

/// Endings that clients give to files they are still writing; `.partial` is rclone's, `.writing` Spring Integration's.
const IN_PROGRESS: [&str; 8] = [
    ".tmp",
    ".part",
    ".partial",
    ".filepart",
    ".writing",
    ".crdownload",
    ".swp",
    "~",
];

static FEED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\A(?:(?:event|order)_history_(?<packed>[0-9]{14})\.json\.zip|user_feed_(?:header|data)_(?<plain>[0-9]{14})\.json)\z",
    )
    .expect("a constant")
});

/// The 14 digits of a name that is of a feed's form.
fn digits(name: &str) -> Option<&str> {
    let form = FEED.captures(name)?;
    let digits = form.name("packed").or_else(|| form.name("plain"))?;
    Some(digits.as_str())
}

/// What a name in the root is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClass {
    /// Somebody's upload in progress, by its dot or its ending: ignored.
    InProgress,
    /// No feed at all: ignored and counted.
    Other,
    /// A feed's archive, or one of the two files of a user feed.
    Feed(FeedName),
    /// A near miss that somebody waits for: `name_malformed` or `name_timestamp`.
    NearMiss(Violation),
}

/// The name of a feed's file. Ordered by the time in it, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedName {
    /// The time in it, UTC milliseconds.
    at: i64,
    /// The whole name.
    name: String,
    /// What it is the name of.
    kind: FeedKind,
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

    /// What it is the name of.
    pub fn kind(&self) -> FeedKind {
        self.kind
    }

    /// The name of the other file, where it is one of the two of a user feed.
    pub fn other(&self) -> Option<String> {
        match self.kind {
            FeedKind::Header => Some(self.name.replacen("_header_", "_data_", 1)),
            FeedKind::Users => Some(self.name.replacen("_data_", "_header_", 1)),
            FeedKind::Events | FeedKind::Orders => None,
        }
    }

    /// The name that the data file in it must have: this one without `.zip`.
    pub fn member(&self) -> &str {
        self.name.strip_suffix(".zip").unwrap_or(&self.name)
    }
}

/// What a name is at a glance: a listing may have a hundred thousand, and of most of them nothing more is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// Somebody's upload in progress.
    InProgress,
    /// No feed at all.
    Other,
    /// A feed's archive, or a near miss: [`classify`] says which.
    Awaited,
}

/// Says what a name is, without telling archives from near misses.
pub fn glance(name: &str) -> Glance {
    let bytes = name.as_bytes();
    let ends_in = |ending: &str| {
        let tail = bytes.len().checked_sub(ending.len()).map(|at| &bytes[at..]);
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending.as_bytes()))
    };
    if name.starts_with('.') || IN_PROGRESS.iter().any(|ending| ends_in(ending)) {
        return Glance::InProgress;
    }
    match begins(name, USER_FEED) || Form::of(name).is_some() {
        true => Glance::Awaited,
        false => Glance::Other,
    }
}

/// Whether a name that is no feed's is that of a user feed's file while somebody uploads it: `.user_feed_data_….json.part`.
pub fn may_become_user_feed(name: &str) -> bool {
    glance(name) == Glance::InProgress && begins(name.trim_start_matches('.'), USER_FEED)
}

/// Whose file it is, by what its name begins with. Of what is no feed's an event feed's, as ever.
pub fn kind_of(name: &str) -> FeedKind {
    match Form::of(name) {
        Some(form) => form.kind,
        None if begins(name, USER_FEED) => FeedKind::Users,
        None => FeedKind::Events,
    }
}

/// The time in the name of a feed's file, UTC milliseconds; `None` if it is none.
pub fn named_at(name: &str) -> Option<i64> {
    time(digits(name)?).ok()
}

/// Says what a name in the root is.
pub fn classify(name: &str) -> NameClass {
    match glance(name) {
        Glance::InProgress => return NameClass::InProgress,
        Glance::Other => return NameClass::Other,
        Glance::Awaited => {}
    }
    let lower = name.to_ascii_lowercase();
    let Some(digits) = digits(name) else {
        return missed(ViolationCode::NameMalformed, near_miss::explain(name, &lower));
    };
    match time(digits) {
        Ok(at) => NameClass::Feed(FeedName {
            at,
            name: name.to_owned(),
            kind: kind_of(name),
        }),
        Err(wrong) => missed(
            ViolationCode::NameTimestamp,
            format!(
                "`{}` in the name is no real UTC time: {wrong}; the digits are YYYYMMDDHHMMSS, as in `20191118170500`",
                digits
            ),
        ),
    }
}

fn missed(code: ViolationCode, detail: String) -> NameClass {
    NameClass::NearMiss(Violation::new(code, detail))
}

/// The UTC milliseconds of 14 ASCII digits, or which part of them is wrong.
pub(super) fn time(digits: &str) -> Result<i64, String> {
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
    fn uploads_in_progress_and_strangers_are_told_apart() {
        let check = |name: &str, expect: NameClass| assert_eq!(classify(name), expect, "{name}");
        check("event_history_20191118170500.json.zip.part", NameClass::InProgress);
        check("event_history_20191118170500.json.zip.FILEPART", NameClass::InProgress);
        check(
            "event_history_20191118170500.json.zip.crdownload",
            NameClass::InProgress,
        );
        check(
            "event_history_20191118170500.json.zip.4f3a9c21.partial",
            NameClass::InProgress,
        );
        check("event_history_20191118170500.json.zip.writing", NameClass::InProgress);
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
