//! Times as text: `2019-11-18T17:05:00.000Z`, and their dates.
//!
//! By hand rather than by a calendar library, since a delivery writes one per event, and since this cannot fail: every `i64`
//! has a text. Years outside 0 to 9999 carry a sign, as ISO 8601 wants it, so that no two times share a text.

use std::fmt::Write;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Appends UTC milliseconds as ISO 8601 with milliseconds and `Z`.
pub fn push_utc(into: &mut String, at: i64) {
    push_date(into, at);
    // 32 bits divide by a constant in a few instructions.
    let ms = at.rem_euclid(DAY_MS) as u32;
    let mut text = *b"T00:00:00.000Z";
    put(&mut text[1..3], ms / 3_600_000);
    put(&mut text[4..6], ms / 60_000 % 60);
    put(&mut text[7..9], ms / 1000 % 60);
    put(&mut text[10..13], ms % 1000);
    push(into, &text);
}

/// Appends the UTC date of a time in milliseconds: `2019-11-18`.
pub fn push_date(into: &mut String, at: i64) {
    let (year, month, day) = civil(at.div_euclid(DAY_MS));
    let mut text = *b"0000-00-00";
    let mut from = 0;
    if (0..=9999).contains(&year) {
        put(&mut text[..4], year as u32);
    } else {
        // Writing to a string does not fail.
        write!(into, "{year:+05}").ok();
        from = 4;
    }
    put(&mut text[5..7], month as u32);
    put(&mut text[8..10], day as u32);
    push(into, &text[from..]);
}

/// Writes the last digits of a number, as many as there is place for.
fn put(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Appends what was put together: all of it at once is a third of the work of one character after the other.
fn push(into: &mut String, text: &[u8]) {
    into.push_str(std::str::from_utf8(text).expect("digits and signs"));
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar without end on either side.
///
/// Years are counted from March, so that the leap day comes last, and in eras of 400 years, which all have the same
/// 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let era = since_march_0000.div_euclid(146_097);
    let day_of_era = since_march_0000.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at: i64, expect: &str) {
        let mut text = String::new();
        push_utc(&mut text, at);
        assert_eq!(text, expect, "{at}");
    }

    #[test]
    fn times() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(1_574_096_700_000, "2019-11-18T17:05:00.000Z");
        check(951_782_400_007, "2000-02-29T00:00:00.007Z");
        check(-62_167_219_200_000, "0000-01-01T00:00:00.000Z");
        check(-62_167_219_200_001, "-0001-12-31T23:59:59.999Z");
        check(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
        check(253_402_300_800_000, "+10000-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_same_as_the_calendar_library() {
        let mut at: i64 = -62_000_000_000_000;
        while at < 253_000_000_000_000 {
            let expect = chrono::DateTime::from_timestamp_millis(at).expect("in range");
            check(at, &expect.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
            at += 40_000_000_123;
        }
    }

    #[test]
    fn no_time_is_too_far() {
        for at in [i64::MIN, i64::MAX] {
            push_utc(&mut String::new(), at);
        }
    }
}
