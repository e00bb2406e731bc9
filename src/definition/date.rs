//! Dates as the vendor takes them in a `date` field, besides the times that feeds write.
//!
//! His list has seventeen forms. Two of them, `yyyy-MM-dd` and `yyyy-dd-MM`, are the same text for the first twelve days of a
//! month: here the day stands last, as the other pages have it, so that `2024-22-05` is no date.

use chrono::NaiveDate;

use crate::feed::parse_time;

/// The date of each form; a time of day may follow, behind a blank.
const DATES: [&str; 6] = ["%Y-%m-%d", "%d-%m-%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%d-%b-%y"];

/// What a date looks like, for messages.
pub(super) const WANTED: &str = "a date such as `2024-05-22`, or a time such as `2024-05-22T22:00:00Z`";

/// Whether a text is a date, or a time, that there is.
pub(super) fn is_date(text: &str) -> bool {
    if parse_time(text).is_ok() {
        return true;
    }
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    DATES.iter().any(|form| is_of_form(date, form)) && time.is_none_or(is_time)
}

/// chrono takes `1-5-2024` for `01-05-2024`, and blanks and signs besides: the length says that it is as the form has it.
fn is_of_form(date: &str, form: &str) -> bool {
    let length = match form {
        "%Y%m%d" => 8,
        "%d-%b-%y" => 9,
        _ => 10,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/';
    date.len() == length && date.bytes().all(is_plain) && NaiveDate::parse_from_str(date, form).is_ok()
}

/// `HH:mm:ss`
fn is_time(time: &str) -> bool {
    let bytes = time.as_bytes();
    let number = |at: usize| match (bytes[at], bytes[at + 1]) {
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => (tens - b'0') * 10 + ones - b'0',
        _ => u8::MAX,
    };
    bytes.len() == 8 && bytes[2] == b':' && bytes[5] == b':' && number(0) < 24 && number(3) < 60 && number(6) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let check = |text: &str, expect: bool| assert_eq!(is_date(text), expect, "{text:?}");
        for good in [
            "2024-05-22",
            "2024-05-22T22:00:00Z",
            "2024-05-22T22:00:00+02:00",
            "2024-05-22 22:00:00",
            "22-05-2024 22:00:00",
            "22-05-2024",
            "05/22/2024 22:00:00",
            "2024/05/22 22:00:00",
            "20240522 22:00:00",
            "20240522",
            "22-May-24",
        ] {
            check(good, true);
        }
        for bad in [
            "2024-22-05",
            "2023-02-29",
            "22-13-2024",
            "1-5-2024",
            "2024-05-22 24:00:00",
            "2024-05-22 1:00:00",
            "20240522 ",
            "yesterday",
            "",
            "1716415200000",
            "22-05-2024 22:00",
        ] {
            check(bad, false);
        }
    }
}
