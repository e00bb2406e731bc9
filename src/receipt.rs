//! The report for the partner, and the words for every code.
//!
//! A receipt lies beside the archives on the source, as `receipts/<archive>.receipt.json`: a partner has nothing but an SFTP
//! client, and learns from it what became of a file, which entry was wrong where, and what to do. `check` prints the same.

use serde::Serialize;

use crate::ledger::report::{Count, ImportInFull, RejectReport};
use crate::verdict::{Class, FeedKind, RejectCode, Violation, ViolationCode, Warning, WarningCode};

/// Rejects shown in a receipt.
pub const REJECTS_SHOWN: usize = 100;

/// What a partner is told of an archive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// The first thing to read, where sending the file again would do harm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The archive's file name.
    pub archive: String,
    /// `events` or `orders`; `users` and `header` for the two files of a user feed.
    pub feed: String,
    /// `processed`, `failed` or `duplicate`.
    pub status: String,
    /// What happened, in a sentence.
    pub summary: String,
    /// The import's id; none in what `check` prints.
    pub import: Option<i64>,
    /// Whether this import took the events in.
    pub imported: bool,
    /// Elements of the array, as far as it was read.
    pub entries: u64,
    /// Events taken in.
    pub accepted: u64,
    /// Of these, events that came before, by their unique keys: kept, and not delivered again.
    pub duplicates: u64,
    /// Entries that were not accepted.
    pub rejected: u64,
    /// SHA-256 of the archive in hex.
    pub sha256: Option<String>,
    /// SHA-256 of the data file in hex.
    pub data_sha256: Option<String>,
    /// Size of the archive in bytes.
    pub size: u64,
    /// Size of the data file in bytes.
    pub data_bytes: Option<u64>,
    /// The time in the name, RFC 3339 UTC.
    pub named_at: Option<String>,
    /// When the file was first seen on the server.
    pub first_seen_at: Option<String>,
    /// The time that stands for absent timestamps.
    pub imported_at: Option<String>,
    /// When the import was recorded.
    pub closed_at: Option<String>,
    /// `late`, `duplicate`, `repacked`, `name_reused`, `same_content`, `same_failure`, `retry`.
    pub flags: Vec<&'static str>,
    /// Archive rules that were not observed.
    pub violations: Vec<ViolationLine>,
    /// How many entries were rejected for each code.
    pub rejects_by_code: Vec<Count>,
    /// The first rejects.
    pub rejects: Vec<RejectReport>,
    /// Rejects that are not listed here.
    pub rejects_not_shown: u64,
    /// How many warnings of each code.
    pub warnings_by_code: Vec<Count>,
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// For every code above: what to do about it.
    pub how_to_fix: std::collections::BTreeMap<String, &'static str>,
}

/// A violation with its class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViolationLine {
    /// `name`, `packaging`, `fault` or `budget`.
    pub class: Class,
    /// The violation.
    #[serde(flatten)]
    pub violation: Violation,
}

impl Receipt {
    /// The receipt of an import. `stored` says that the ledger has it: `check` tells of an archive that nobody imported.
    pub fn of(full: ImportInFull, stored: bool) -> Receipt {
        let import = full.import;
        let mut how_to_fix = std::collections::BTreeMap::new();
        for violation in &import.violations {
            how_to_fix.insert(violation.code.to_string(), fix_violation(violation.code));
        }
        for count in &full.rejects_by_code {
            how_to_fix.extend(RejectCode::parse(&count.code).map(|code| (count.code.clone(), fix_reject(code))));
        }
        for reason in full.rejects.iter().flat_map(|reject| &reject.reasons) {
            how_to_fix.insert(reason.code.to_string(), fix_reject(reason.code));
        }
        for count in &full.warnings_by_code {
            // A reject of the same name has the better advice.
            if let Some(code) = WarningCode::parse(&count.code) {
                how_to_fix.entry(count.code.clone()).or_insert(fix_warning(code));
            }
        }
        let taken_in = if import.imported {
            Some(import.accepted)
        } else {
            full.taken_in_before
        };
        let note = match (import.status.as_str(), taken_in) {
            // Word for word as documented, whatever the number: partners' scripts look for it.
            ("failed", Some(events)) if stored => Some(format!(
                "{events} {}s are imported; do not send them again",
                noun(&import.feed)
            )),
            _ => None,
        };
        Receipt {
            note,
            summary: summary(
                noun(&import.feed),
                &import.status,
                import.imported,
                stored,
                taken_in,
                (import.duplicates, import.rejected),
                &import.violations,
            ),
            import: stored.then_some(import.id),
            feed: import.feed,
            rejects_not_shown: import.rejected.saturating_sub(full.rejects.len() as u64),
            violations: import
                .violations
                .into_iter()
                .map(|violation| ViolationLine {
                    class: violation.code.class(),
                    violation,
                })
                .collect(),
            archive: import.archive,
            status: import.status,
            imported: import.imported,
            entries: import.entries,
            accepted: import.accepted,
            duplicates: import.duplicates,
            rejected: import.rejected,
            sha256: import.sha256,
            data_sha256: import.data_sha256,
            size: import.size,
            data_bytes: import.data_bytes,
            named_at: import.named_at,
            first_seen_at: stored.then_some(import.first_seen_at),
            imported_at: import.imported_at.filter(|_| stored),
            closed_at: import.closed_at.filter(|_| stored),
            flags: import.flags,
            rejects_by_code: full.rejects_by_code,
            rejects: full.rejects,
            warnings_by_code: full.warnings_by_code,
            warnings: full.warning_list,
            how_to_fix,
        }
    }

    /// As the file on the source has it.
    pub fn to_json(&self) -> Vec<u8> {
        // Our own plain structs: serializing them does not fail.
        let mut text = crate::telemetry::json_escaped(&serde_json::to_string_pretty(self).unwrap_or_default());
        text.push('\n');
        text.into_bytes()
    }
}

/// "1 event is", "2 events are".
fn are(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun} is"),
        _ => format!("{count} {noun}s are"),
    }
}

/// What an import's entries are called.
fn noun(kind: &str) -> &'static str {
    match FeedKind::parse(kind) {
        Some(FeedKind::Header) => "column",
        Some(FeedKind::Users) => "user",
        _ => "event",
    }
}

/// What happened, in a sentence.
fn summary(
    noun: &str,
    status: &str,
    imported: bool,
    stored: bool,
    taken_in: Option<u64>,
    (duplicates, rejected): (u64, u64),
    violations: &[Violation],
) -> String {
    let codes = || {
        violations
            .iter()
            .map(|violation| violation.code.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let are = |events: u64| match stored {
        true => format!("{} imported", are(events, noun)),
        false if events == 1 => format!("1 {noun} would be imported"),
        false => format!("{events} {noun}s would be imported"),
    };
    let mut but = match duplicates {
        0 => String::new(),
        1 => ", of which 1 came before and is not delivered again".to_owned(),
        _ => format!(", of which {duplicates} came before and are not delivered again"),
    };
    but += &match rejected {
        0 => String::new(),
        1 => "; 1 entry was rejected".to_owned(),
        _ => format!("; {rejected} entries were rejected"),
    };
    let stays = match noun {
        "event" => "the archive is marked as failed",
        _ => "the file is marked as failed",
    };
    match (status, imported, taken_in) {
        ("processed", _, events) => format!("{}{but}", are(events.unwrap_or_default())),
        ("failed", true, Some(events)) => format!("{}{but}, but {stays}: {}", are(events), codes()),
        ("failed", false, Some(_)) => format!("nothing new is imported, and {stays}: {}", codes()),
        ("failed", _, _) => format!("nothing is imported, and {stays}: {}", codes()),
        ("duplicate", _, Some(events)) => format!("nothing new is imported: {} already", are(events)),
        ("duplicate", _, None) => {
            "nothing is imported: a newer user feed was taken in, and only the newest one counts".to_owned()
        }
        _ => "nothing is imported yet".to_owned(),
    }
}

/// What to do about an archive rule that was not observed.
pub fn fix_violation(code: ViolationCode) -> &'static str {
    use ViolationCode::*;
    match code {
        NameMalformed => {
            "Name the archive event_history_YYYYMMDDHHMMSS.json.zip, with the time in UTC, all in lower case, and upload it under that name. `feedgate pack FEED.json` makes such an archive. An order feed is named order_history_ and so on; the two files of a user feed are user_feed_header_YYYYMMDDHHMMSS.json and user_feed_data_YYYYMMDDHHMMSS.json, and not packed."
        }
        NameTimestamp => {
            "The 14 digits are year, month, day, hour, minute and second, in UTC, of a time that exists (hours 00 to 23, seconds 00 to 59). Rename the data file and the archive alike."
        }
        NotOneFile => {
            "Pack exactly one file, and no folder beside it. On a Mac, zip on the command line with `zip -X` instead of the Finder, which adds __MACOSX/. To mend this archive, pack the same data again under the same name: its events are not imported twice."
        }
        MemberName => {
            "The file inside must have the archive's name without .zip (event_history_20191118170500.json in event_history_20191118170500.json.zip), and lie in no folder. To mend this archive, pack the same data again under the same name: its events are not imported twice."
        }
        ZipTruncated => "The upload ended early. Upload the archive again, whole.",
        ZipUnreadable => {
            "The file is damaged or no zip. Check it with `unzip -t`, pack it anew, and upload it in binary mode."
        }
        ZipEncrypted => "Pack the data file without a password.",
        ZipMethod => {
            "Use plain deflate, as zip does by default. Of the other methods, stored, deflate64, bzip2, zstd, lzma and xz are read, with a window of at most 8 MiB."
        }
        ZipChecksum => "The data was damaged on its way or on a disk. Pack and upload it again.",
        ZipInconsistent => {
            "Parts of the zip contradict each other, as damaged or doctored ones do. Pack it anew with an ordinary tool, without editing it afterwards."
        }
        TooLarge => "Split the feed into several archives with different times in their names.",
        Ratio => {
            "The data repeats itself far more than real events do. If it is real, split it, or ask the operator to raise the limit."
        }
        Encoding => "Save the file as UTF-8.",
        JsonSyntax => {
            "Nothing can be imported from a file that is not valid JSON. Mend it at the place named; a JSON validator finds the rest. Better have a JSON library write it than put it together by hand. The example on the vendor's own page is no model: it lacks a comma before \"cart\", and names \"businessUnit\" twice."
        }
        NotAnArray => "The file must be one JSON array: [ {…}, {…} ].",
        TrailingContent => "Nothing but white space may follow the array's closing bracket.",
        Depth => "Flatten the entry: events are flat, apart from the cart.",
        EntryTooLarge => "Make the entry smaller, or split it into several events.",
        AllRejected => {
            "See the rejects for what is wrong with the entries, and upload the mended feed; nothing of this one was imported."
        }
        TooManyRejected => {
            "See the rejects for what is wrong with the entries, and upload the mended feed; nothing of this one was imported."
        }
        UserFeedHalf => {
            "A user feed is two files, user_feed_header_YYYYMMDDHHMMSS.json and user_feed_data_YYYYMMDDHHMMSS.json, with the same 14 digits. Upload the other one, named alike: both are read then."
        }
        UserFeedHeader => {
            "The header is one JSON array with an object for each column: {\"column_name\": \"id\", \"data_type\": \"text\", \"is_nullable\": \"NO\"}. The types are text, date, timestamp, boolean, integer and numeric, with [] behind them for arrays; \"id\" must be there, and not nullable. Upload the mended header: the data file that is there is read with it."
        }
        UserFeedOther => {
            "Mend the other file of the pair; its own receipt says what is wrong. This one may stay as it is."
        }
    }
}

/// What to do about a rejected entry.
pub fn fix_reject(code: RejectCode) -> &'static str {
    use RejectCode::*;
    match code {
        NotAnObject => "Every element of the array must be an object: {\"event\": …, \"id\": …}.",
        EventMissing => "Give the entry a key \"event\" with the name of the event.",
        EventInvalid => "\"event\" must be a string that is not blank, of at most 255 characters.",
        IdentityMissing => "Say whose event it is: \"id\", or both \"email\" and \"businessUnit\".",
        IdInvalid => "\"id\" must be a string (or an integer) of at most 255 characters.",
        EmailInvalid => "\"email\" must be one address: something, one @, something; no blanks; at most 254 bytes.",
        BusinessUnitInvalid => "\"businessUnit\" must be a string of at most 255 characters.",
        TimestampInvalid => {
            "Write \"timestamp\" as 2018-05-22T22:00:00Z (UTC), or leave it out: then the time of the import counts."
        }
        DuplicateKey => "The key is there twice in one entry, with different values. Keep the right one.",
        DefinitionFieldMissing => {
            "Give the entry the field that is named; null and blank count as absent. Ask the operator for the definition of the event: `feedgate definitions explain NAME` prints it, with an example."
        }
        DefinitionFieldType => {
            "Write the value in the type that is named: numbers and true or false without quotation marks, texts within them."
        }
        DefinitionValue => {
            "Send one of the values, or the form, that the message names; or ask the operator to allow yours."
        }
        DefinitionUnknownEvent => {
            "This feed takes only events that were agreed on. Check the spelling of \"event\", or ask the operator for a definition of it."
        }
        OrderIdMissing => "Give the order its \"orderId\".",
        OrderIdInvalid => "\"orderId\" must be a string (or an integer) that is not blank, of at most 255 characters.",
        TimestampMissing => "An order needs a \"timestamp\": 2018-05-22T22:00:00Z, or 2016-04-18 07:00:43.591+02.",
        TotalMissing => "Give the order its \"total\", a number in units of the currency: 49.99.",
        TotalInvalid => "\"total\" must be a number, without quotes: 49.99.",
        ShippingInvalid => "\"shipping\" must be a number, without quotes, or be left out.",
        DiscountInvalid => "\"discount\" must be a number, without quotes, or be left out.",
        CouponInvalid => "\"coupon\" must be a string, or be left out.",
        CurrencyInvalid => "\"currency\" must be a string such as \"EUR\", or be left out.",
        ItemsTooMany => {
            "Split the order, or ask the operator to switch `ordered_items` off: so many items are not made of one order."
        }
        UserIdMissing => "Every user needs an \"id\" that is not blank.",
        UserColumnUnknown => "Name the column in the header file, spelt alike, or leave the value out.",
        UserValueMissing => {
            "The header says that the column is not nullable: give a value, or let the header say \"is_nullable\": \"YES\"."
        }
        UserValueType => {
            "Write the value as the header's type for its column wants it: date 2016-03-22, timestamp 2016-04-01T18:02:42+01, boolean true, integer 42, numeric 18.5 (the last three without quotes)."
        }
        UserValueTooLong => "Shorten the text: 16 KiB is the most.",
        UserTooLarge => "Make the user smaller: 1 MiB is the most.",
        UserNesting => "Flatten the value: two levels of nesting and 30 nested fields are the most.",
    }
}

/// What to do about a warning.
pub fn fix_warning(code: WarningCode) -> &'static str {
    match code {
        WarningCode::IdNumber => "\"id\" is taken as text; write it as a string, so that leading zeros survive.",
        WarningCode::EmailInvalid => "The e-mail is no address; the event counts for the \"id\" alone.",
        WarningCode::BusinessUnitInvalid => "The business unit is not usable; the event counts for the \"id\" alone.",
        WarningCode::DuplicateKey => "The key is there twice in one entry. Keep one.",
        WarningCode::DuplicateEvent => {
            "The same event came before: its name, its customer and the fields that tell such events apart are the same. It is kept and not delivered again. If it is another event, one of these fields must differ."
        }
        WarningCode::OrderIdNumber => {
            "\"orderId\" is taken as text; write it as a string, so that leading zeros survive."
        }
        WarningCode::TotalDiffers => "\"total\" and \"cart.total\" are different amounts. Both are kept as given.",
    }
}
