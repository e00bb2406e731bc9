//! Any text as a name in the root.

use chrono::NaiveDateTime;
use feedgate::archive::{Glance, NameClass, classify, glance, named_at};
use feedgate::verdict::ViolationCode;

use super::may_be_shown;

/// Holds a name against a second opinion, and its explanation against what a name may do in one.
pub fn run(bytes: &[u8]) {
    let name = &*String::from_utf8_lossy(bytes);
    let class = classify(name);
    let at = match &class {
        NameClass::Feed(feed) => Some(feed.at()),
        _ => None,
    };
    assert_eq!(at, by_chrono(name), "{name:?}");
    assert_eq!(at, named_at(name), "{name:?}");
    match (glance(name), &class) {
        (Glance::InProgress, NameClass::InProgress) | (Glance::Other, NameClass::Other) => {}
        (Glance::Awaited, NameClass::Feed(feed)) => {
            assert_eq!(feed.as_str(), name);
            match feed.other() {
                None => assert_eq!(format!("{}.zip", feed.member()), name),
                // The other file of a user feed is one too, of the same time, and this is its other.
                Some(other) => match classify(&other) {
                    NameClass::Feed(other) => {
                        assert_eq!((other.at(), other.other().as_deref()), (feed.at(), Some(name)))
                    }
                    class => panic!("{name:?} goes with {other:?}, which is {class:?}"),
                },
            }
        }
        (Glance::Awaited, NameClass::NearMiss(violation)) => {
            let codes = [ViolationCode::NameMalformed, ViolationCode::NameTimestamp];
            assert!(codes.contains(&violation.code), "{violation:?}");
            may_be_shown(&violation.detail);
            assert!(violation.detail.len() < 1_000, "{violation:?}");
            advice_is_good(name, &violation.detail);
        }
        (glance, class) => panic!("{name:?} is {glance:?} at a glance, and {class:?}"),
    }
}

/// The time in a name of the right form, by chrono. Its parser takes less than 14 digits and signs as well: written again,
/// those come out otherwise. And it takes a sixtieth second.
fn by_chrono(name: &str) -> Option<i64> {
    let forms = [
        ("event_history_", ".json.zip"),
        ("order_history_", ".json.zip"),
        ("user_feed_header_", ".json"),
        ("user_feed_data_", ".json"),
    ];
    let within = |(beginning, ending)| name.strip_prefix(beginning)?.strip_suffix(ending);
    let digits = forms.into_iter().find_map(within)?;
    let time = NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok()?;
    let again = time.format("%Y%m%d%H%M%S").to_string();
    let is_real = !digits.starts_with("0000") && !digits.ends_with("60");
    (again == digits && is_real).then(|| time.and_utc().timestamp_millis())
}

/// A name that is recommended is a good one.
fn advice_is_good(name: &str, detail: &str) {
    let Some(advised) = detail.split("name it `").nth(1).and_then(|rest| rest.split('`').next()) else {
        return;
    };
    assert!(matches!(classify(advised), NameClass::Feed(_)), "{name:?}: {detail}");
    assert_ne!(advised, name);
}
