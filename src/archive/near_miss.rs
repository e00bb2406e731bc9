//! Why a name that begins as a feed's is none, in a sentence for whoever gave it, with the right name where it can be
//! guessed.
//!
//! The first thing to mend is named, not all of them: the right name mends the rest.

use std::sync::LazyLock;

use regex::Regex;

use super::escape::shown;
use super::name::{Form, time};

/// Explains a near miss, and names the right name where it can be guessed.
pub(super) fn explain(name: &str, lower: &str) -> String {
    if let Some((ending, what)) = COMPANIONS.iter().find(|(ending, _)| lower.ends_with(ending)) {
        return format!(
            "`{}` is {what} by its ending `{ending}`, and no feed: only the feeds themselves are taken here",
            shown(name)
        );
    }
    let Some(form) = Form::of(name) else {
        return format!(
            "`{}` is neither of the two files of a user feed, `user_feed_header_YYYYMMDDHHMMSS.json` and \
             `user_feed_data_YYYYMMDDHHMMSS.json`, with the same time in UTC",
            shown(name)
        );
    };
    let wrong = what_is_wrong(form, name, lower);
    match guess(form, lower) {
        Some(right) => format!("`{}` {wrong}; name it `{right}`", shown(name)),
        None => format!(
            "`{}` {wrong}; the form is `{}_YYYYMMDDHHMMSS{}`, the time in UTC",
            shown(name),
            form.beginning,
            form.ending
        ),
    }
}

/// What stands beside archives and is none, by its ending. It must not be given an archive's name.
const COMPANIONS: [(&str, &str); 8] = [
    (".asc", "a signature"),
    (".sig", "a signature"),
    (".md5", "a checksum"),
    (".sha1", "a checksum"),
    (".sha256", "a checksum"),
    (".sha512", "a checksum"),
    (".gpg", "an encrypted file"),
    (".pgp", "an encrypted file"),
];

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

/// Endings of a user feed's files that were packed, which they should not be.
const PLAIN_ENDINGS: [(&str, &str); 5] = [
    (".json.zip", "is packed: the files of a user feed are plain JSON"),
    (
        ".json.gz",
        "is packed with gzip: the files of a user feed are plain JSON",
    ),
    (
        ".json.gzip",
        "is packed with gzip: the files of a user feed are plain JSON",
    ),
    (".zip", "is packed: the files of a user feed are plain JSON"),
    (".csv", "is a table: the files of a user feed are JSON"),
];

/// What is wrong with the name: the first thing to mend.
fn what_is_wrong(form: &Form, name: &str, lower: &str) -> String {
    let Form {
        beginning,
        ending: wanted,
        ..
    } = form;
    if name.chars().any(char::is_control) {
        return "holds control characters".into();
    }
    if let Some(mark) = copy_mark(lower) {
        return format!("is marked as a copy (`{}`)", shown(mark));
    }
    if name.chars().any(char::is_whitespace) {
        return "holds blanks".into();
    }
    if !name.starts_with(beginning) {
        return format!("does not begin with `{beginning}_` in lower case");
    }
    let rest = &lower[beginning.len()..];
    let Some(rest) = rest.strip_prefix('_') else {
        return format!("does not have `_` after `{beginning}`");
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let ending = &rest[digits..];
    if digits != 14 && joined(form, lower).is_some() {
        return "has other characters between or around its 14 digits".into();
    }
    if digits != 14 {
        return format!("has {digits} digits after `{beginning}_` where 14 are needed");
    }
    let endings: &[(&str, &str)] = match *wanted {
        ".json" => &PLAIN_ENDINGS,
        _ => &ENDINGS,
    };
    if let Some((_, wrong)) = endings.iter().find(|(known, _)| *known == ending) {
        return (*wrong).into();
    }
    match ending {
        _ if ending == *wanted => format!("does not end in `{wanted}` in lower case"),
        ".zip" => "lacks `.json` before `.zip`".into(),
        "" => "has no ending".into(),
        _ if ending.trim_end_matches('.') == *wanted => "ends with a dot".into(),
        // Its right name with something behind it: some uploader's way to mark what is not whole yet.
        _ if ending.starts_with(wanted) => format!(
            "has `{}` after `{wanted}` (if that marks an upload in progress, use `.part` or a dot in front)",
            shown(&ending[wanted.len()..])
        ),
        _ => format!(
            "goes on with `{}` after its 14 digits where `{wanted}` is wanted",
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

/// The right name, where the near miss holds exactly one time, in one piece or in several.
fn guess(form: &Form, lower: &str) -> Option<String> {
    let mut times = lower[form.beginning.len()..]
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 14 && time(digits).is_ok());
    let digits = match (times.next(), times.next()) {
        (Some(digits), None) => digits.to_owned(),
        (None, _) => joined(form, lower)?,
        _ => return None,
    };
    Some(format!("{}_{digits}{}", form.beginning, form.ending))
}

/// The digits before the first dot, if they are 14 and a time: `2019-11-18T17:05:00`.
fn joined(form: &Form, lower: &str) -> Option<String> {
    let stem = lower[form.beginning.len()..].split('.').next()?;
    let digits: String = stem.chars().filter(char::is_ascii_digit).take(15).collect();
    (digits.len() == 14 && time(&digits).is_ok()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::super::name::{NameClass, classify};
    use crate::verdict::ViolationCode;

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
        check(
            "event_history_20191118170500.json.zip.upload",
            "use `.part` or a dot in front",
            true,
        );
        check("event_history_20191118170500.csv", "`.csv`", true);
        check("event_history-20191118170500.json.zip", "`_` after", true);
        check("event_history", "`_` after", false);
        check(
            "event_history_2019-11-18T17:05:00.json.zip",
            "between or around its 14 digits",
            true,
        );
        check(
            "event_history_20191118_170500.json.zip",
            "between or around its 14 digits",
            true,
        );
        check(
            "event_history__20191118170500.json.zip",
            "between or around its 14 digits",
            true,
        );
        check("event_history_20191118170500.json.zip.md5", "a checksum", false);
        check("event_history_20191118170500.json.zip.GPG", "an encrypted file", false);
        check("event_history_２０１９１１１８１７０５００.json.zip", "0 digits", false);
        check(
            "event_history_20191118170500\\xff.json.zip",
            "goes on with `\\xff",
            true,
        );
        check("event_history_20191318170500.json", "not packed", false);
    }
}
