//! Times as feeds write them, read strictly.
//!
//! Accepted, from the vendor's pages: ISO 8601 (`2018-05-22T22:00:00Z`), the order feed's example
//! (`2016-04-18 07:00:43.591+02`) and its documented pattern with points (`2016-04-18 07.00.43.591+02`), and a bare date.
//! Seconds, fraction and offset may be missing; without an offset a time is UTC.
//!
//! By hand, since chrono's parser takes single digits, blanks and a sixtieth second. There is none here: neither that nor
//! hour 24 is a time that a feed could mean, and both must not slip into the next minute or day unseen.

use std::ops::{Range, RangeInclusive};

/// What a valid time looks like, for messages.
pub(super) const WANTED: &str = "a time such as `2018-05-22T22:00:00Z`, `2016-04-18 07:00:43.591+02` or `2022-01-01`";

const DAY_MS: i64 = 86_400_000;

/// The years 0000 to 9999: an offset must not lead out of them.
const YEARS_MS: Range<i64> = days_since_1970(0, 1, 1) * DAY_MS..days_since_1970(10_000, 1, 1) * DAY_MS;

/// UTC milliseconds since 1970, rounded down, of a time in the years 0000 to 9999; otherwise what is wrong with it, as the
/// rest of a sentence.
///
/// A text in no known form is told apart from one that is well-formed and names a time that there is not: the one is
/// mended in the program that writes it, the other in the data.
pub(crate) fn parse(text: &str) -> Result<i64, &'static str> {
    match common(text.as_bytes()) {
        Some(utc_ms) => Ok(utc_ms),
        None => parse_any(text),
    }
}

/// The form that nearly all feeds write, `2018-05-22T22:00:00Z`, in a fifth of the time; `None` for every other, and for
/// times that there are not. What it takes, [`parse_any`] takes for the same.
fn common(text: &[u8]) -> Option<i64> {
    let text: &[u8; 20] = text.try_into().ok()?;
    let signs = [text[4], text[7], text[10], text[13], text[16], text[19]];
    if signs != *b"--T::Z" {
        return None;
    }
    let mut digits = true;
    let mut two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        digits &= tens < 10 && ones < 10;
        i64::from(tens) * 10 + i64::from(ones)
    };
    let year = two(0) * 100 + two(2);
    let (month, day, hours, minutes, seconds) = (two(5), two(8), two(11), two(14), two(17));
    let possible = (1..=12).contains(&month) && day >= 1 && hours < 24 && minutes < 60 && seconds < 60;
    if !digits || !possible || day > days_in_month(year, month) {
        return None;
    }
    Some(days_since_1970(year, month, day) * DAY_MS + (hours * 3600 + minutes * 60 + seconds) * 1000)
}

/// Any known form.
fn parse_any(text: &str) -> Result<i64, &'static str> {
    let mut rest = Reader {
        rest: text.as_bytes(),
        impossible: None,
    };
    let Some(written) = rest.date_and_time() else {
        return Err("is in none of the known forms");
    };
    if let Some(part) = rest.impossible {
        return Err(part);
    }
    let utc_ms = days_since_1970(written.year, written.month, written.day) * DAY_MS + written.utc_ms;
    match YEARS_MS.contains(&utc_ms) {
        true => Ok(utc_ms),
        false => Err("is, in UTC, outside of the years 0000 to 9999"),
    }
}

/// A text in a known form, taken apart.
struct Written {
    year: i64,
    month: i64,
    day: i64,
    /// From the date's midnight, with the offset taken off: negative where it leads into the day before.
    utc_ms: i64,
}

/// What is left of the text, and the first part that was of the right form and cannot be.
struct Reader<'a> {
    rest: &'a [u8],
    impossible: Option<&'static str>,
}

impl Reader<'_> {
    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The whole text; `None` if it is in no known form.
    fn date_and_time(&mut self) -> Option<Written> {
        let year = self.number(4)?;
        self.sign(b"-")?;
        let month = self.within(1..=12, "is no date: its month is not 01 to 12")?;
        self.sign(b"-")?;
        let day = self.within(1..=days_in_month(year, month), "is no date: its month has no such day")?;
        let mut utc_ms = 0;
        if !self.is_empty() {
            self.sign(b"Tt ")?;
            utc_ms = self.time()? - self.offset()?;
        }
        self.is_empty().then_some(Written {
            year,
            month,
            day,
            utc_ms,
        })
    }

    /// Exactly so many ASCII digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = rest;
        Some(
            number
                .iter()
                .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')),
        )
    }

    /// A number of two digits. One out of its range is read all the same, and kept in mind.
    fn within(&mut self, range: RangeInclusive<i64>, otherwise: &'static str) -> Option<i64> {
        let number = self.number(2)?;
        if !range.contains(&number) {
            self.impossible.get_or_insert(otherwise);
        }
        Some(number)
    }

    /// One of these signs.
    fn sign(&mut self, signs: &[u8]) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        if !signs.contains(&first) {
            return None;
        }
        self.rest = rest;
        Some(first)
    }

    /// `22:00`, `22:00:00`, `22:00:00.591`, or with points all the way: milliseconds since midnight.
    fn time(&mut self) -> Option<i64> {
        let hours = self.within(0..=23, "is no time: its hour is not 00 to 23")?;
        let separator = self.sign(b":.")?;
        let minutes = self.within(0..=59, "is no time: its minute is not 00 to 59")?;
        let minute_ms = (hours * 60 + minutes) * 60_000;
        if self.sign(&[separator]).is_none() {
            return Some(minute_ms);
        }
        let seconds = self.within(0..=59, "is no time: its second is not 00 to 59")?;
        Some(minute_ms + seconds * 1000 + self.fraction_ms()?)
    }

    /// A fraction of any length, or none; what is finer than a millisecond is cut off.
    fn fraction_ms(&mut self) -> Option<i64> {
        if self.sign(b".,").is_none() {
            return Some(0);
        }
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if fraction.is_empty() {
            return None;
        }
        let thousandths = fraction.iter().chain(b"00").take(3);
        Some(thousandths.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    /// `Z`, `+02`, `+0200`, `+02:00`, or nothing for UTC: how far the clock is ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.is_empty() || self.sign(b"Zz").is_some() {
            return Some(0);
        }
        let ahead = if self.sign(b"+-")? == b'+' { 1 } else { -1 };
        let hours = self.within(0..=23, "is no time: the hours of its offset are not 00 to 23")?;
        let minutes = if self.is_empty() {
            0
        } else {
            self.sign(b":");
            self.within(0..=59, "is no time: the minutes of its offset are not 00 to 59")?
        };
        Some(ahead * (hours * 60 + minutes) * 60_000)
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, which is taken to hold for all years.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const YEAR_0_TO_1970: i64 = 719_528;
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    // Leap days of the years before this one: year 0 is one itself.
    let leap_days = match year {
        0 => 0,
        _ => (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1,
    };
    let leap_day = (month > 2 && is_leap(year)) as i64;
    let months = BEFORE_MONTH[month as usize - 1] + leap_day;
    year * 365 + leap_days + months + (day - 1) - YEAR_0_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let expect = chrono::DateTime::parse_from_rfc3339(expect)
            .expect("the expected time")
            .timestamp_millis();
        assert_eq!(parse(text), Ok(expect), "{text}");
    }

    #[test]
    fn the_forms_of_the_vendors_pages() {
        check("2018-05-22T22:00:00Z", "2018-05-22T22:00:00Z");
        check("2016-04-18 07:00:43.591+02", "2016-04-18T05:00:43.591Z");
        check("2016-04-18 07.00.43.591+02", "2016-04-18T05:00:43.591Z");
        check("2022-01-01", "2022-01-01T00:00:00Z");
        check("2016-04-01T18:02:42+01", "2016-04-01T17:02:42Z");
    }

    #[test]
    fn what_may_be_missing_or_spelt_otherwise() {
        check("2018-05-22T22:00Z", "2018-05-22T22:00:00Z");
        check("2018-05-22 22:00", "2018-05-22T22:00:00Z");
        check("2018-05-22 22.00", "2018-05-22T22:00:00Z");
        check("2018-05-22t22:00:00z", "2018-05-22T22:00:00Z");
        check("2018-05-22T22:00:00", "2018-05-22T22:00:00Z");
        check("2018-05-22T22:00:00+0200", "2018-05-22T20:00:00Z");
        check("2018-05-22T22:00:00+02:30", "2018-05-22T19:30:00Z");
        check("2018-05-22T22:00:00-05:00", "2018-05-23T03:00:00Z");
        check("2018-05-22T22:00:00-00:00", "2018-05-22T22:00:00Z");
        check("2018-05-22T22:00:00,5Z", "2018-05-22T22:00:00.500Z");
        check("2018-05-22T22:00:00.1", "2018-05-22T22:00:00.100Z");
        check(
            "2018-05-22T22:00:00.123999999999999999999999Z",
            "2018-05-22T22:00:00.123Z",
        );
        check("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z");
        check("2000-02-29", "2000-02-29T00:00:00Z");
        check("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z");
        check("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn the_common_form_is_taken_for_the_same_as_by_the_long_way() {
        let check = |text: &[u8]| {
            let text = std::str::from_utf8(text).expect("ASCII");
            if let Some(utc_ms) = common(text.as_bytes()) {
                assert_eq!(parse_any(text), Ok(utc_ms), "{text}");
            }
        };
        let mut taken = 0;
        for base in [
            "2018-05-22T22:00:00Z",
            "2000-02-29T23:59:59Z",
            "1900-02-28T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            for first in 0..20 {
                for second in 0..20 {
                    for (one, other) in
                        (0..128).flat_map(|one| [b'0', b'1', b'2', b'3', b'9', b':'].map(|other| (one, other)))
                    {
                        let mut text = *base.as_bytes().first_chunk::<20>().expect("20 bytes");
                        text[first] = one;
                        text[second] = other;
                        check(&text);
                        taken += usize::from(common(&text).is_some());
                    }
                }
            }
        }
        assert!(taken > 10_000, "{taken}");
        for odd in [
            &b""[..],
            b"2018-05-22T22:00:00",
            b"2018-05-22T22:00:00Z ",
            b"2018-05-22t22:00:00z",
        ] {
            assert_eq!(common(odd), None);
        }
    }

    #[test]
    fn what_is_in_no_known_form() {
        for text in [
            "",
            " ",
            "yesterday",
            "1526997600",
            "2018",
            "2018-05",
            "2018-5-22",
            "18-05-22",
            "02018-05-22",
            "+2018-05-22",
            "-018-05-22",
            "2018/05/22",
            "22.05.2018",
            "2018-05-22Z",
            "2018-05-22T",
            "2018-05-22T22",
            "2018-05-22T22Z",
            "2018-05-22T22:0",
            "2018-05-22T2:00:00Z",
            "2018-05-22T22:00:",
            "2018-05-22T22:00:00.",
            "2018-05-22T22:00:00.Z",
            "2018-05-22T22:00.5Z",
            "2018-05-22T22:00.43",
            "2018-05-22T22.00:43",
            "2018-05-22T22:00:00 Z",
            "2018-05-22T22:00:00ZZ",
            "2018-05-22T22:00:00+",
            "2018-05-22T22:00:00+2",
            "2018-05-22T22:00:00+02:",
            "2018-05-22T22:00:00+020",
            "2018-05-22T22:00:00+02Z",
            "2018-05-22  22:00:00",
            "2018-05-22_22:00:00",
            " 2018-05-22",
            "2018-05-22 ",
            "2018-05-22\n",
            "２０１８-05-22",
            "2018-05-22T22:00:00−02",
        ] {
            assert_eq!(parse(text), Err("is in none of the known forms"), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_well_and_cannot_be() {
        let check = |text: &str, expect: &str| {
            let said = parse(text).expect_err(text);
            assert!(said.contains(expect), "{text}: {said}");
        };
        check("2018-00-10", "its month is not");
        check("2018-13-10", "its month is not");
        check("2018-13-32T25:61", "its month is not");
        check("2018-05-00", "no such day");
        check("2018-02-30T10:00:00", "no such day");
        check("2018-02-29", "no such day");
        check("1900-02-29", "no such day");
        check("2018-04-31", "no such day");
        check("2018-05-22T24:00:00Z", "its hour");
        check("2018-05-22 24.00", "its hour");
        check("2018-05-22T22:60:00Z", "its minute");
        check("2018-05-22T22:00:60Z", "its second");
        check("2018-05-22T22:00:00+24", "the hours of its offset");
        check("2018-05-22T22:00:00+25:00", "the hours of its offset");
        check("2018-05-22T22:00:00+02:60", "the minutes of its offset");
        check("2018-05-22T22:00:00+0260", "the minutes of its offset");
        check("0000-01-01T00:00:00+00:01", "outside of the years");
        check("9999-12-31T23:59:59-12", "outside of the years");
        check("2018-13-10 and more", "none of the known forms");
    }

    #[test]
    fn the_calendar_is_that_of_chrono() {
        let mut date = chrono::NaiveDate::from_ymd_opt(0, 1, 1).expect("a date");
        let end = chrono::NaiveDate::from_ymd_opt(9999, 12, 1).expect("a date");
        while date < end {
            let expect = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
            assert_eq!(parse(&date.format("%Y-%m-%d").to_string()), Ok(expect), "{date}");
            date += chrono::TimeDelta::days(13);
        }
    }
}
