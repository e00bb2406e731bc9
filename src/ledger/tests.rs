//! The ledger's own stories: identity, listings, putting away, retention, versions.

use std::time::Duration;

use super::listing::{Claim, Passed, Seen};
use super::moves::{Disposition, PutAway};
use super::outcome::{Action, Disposal, Judged, Outcome};
use super::report::{ImportReport, Which};
use super::retention::Retention;
use super::retry::Again;
use super::*;
use crate::verdict::{Violation, ViolationCode};

/// A ledger in a directory of its own, and a clock that stands still between acts.
struct House {
    ledger: Ledger,
    now: i64,
    _dir: tempfile::TempDir,
}

/// An archive as a test speaks of it: name, bytes of the archive, bytes of the data (one letter each).
struct Archive {
    name: &'static str,
    bytes: u8,
    data: u8,
    violation: Option<ViolationCode>,
}

const FIRST: &str = "event_history_20240101000000.json.zip";
const SECOND: &str = "event_history_20240102000000.json.zip";

fn archive(name: &'static str, bytes: u8, data: u8) -> Archive {
    Archive {
        name,
        bytes,
        data,
        violation: None,
    }
}

impl Archive {
    fn broken(self, code: ViolationCode) -> Archive {
        Archive {
            violation: Some(code),
            ..self
        }
    }
}

impl House {
    fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        House {
            ledger,
            now: 1_700_000_000_000,
            _dir: dir,
        }
    }

    async fn look(&mut self, listing: &[(&str, u64, i64)]) -> Vec<listing::Candidate> {
        self.now += 1000;
        let seen = |&(name, size, mtime): &(&str, u64, i64)| Seen {
            name: name.to_owned(),
            size,
            mtime,
        };
        self.ledger
            .look("acme", listing.iter().map(seen).collect(), Passed::default(), self.now)
            .await
            .unwrap()
    }

    /// Takes an archive in as intake does, and answers with what the ledger says of it.
    async fn take_in(&mut self, archive: &Archive, retry_of: Option<i64>) -> ImportReport {
        self.now += 1000;
        let seen = Seen {
            name: archive.name.to_owned(),
            size: 10,
            mtime: self.now,
        };
        let named_at = archive.name.get(14..22).and_then(|date| date.parse().ok());
        let claim = Claim {
            seen,
            first_seen_at: self.now,
            named_at,
            retry_of,
        };
        let id = self.ledger.claim("acme", vec![claim], self.now).await.unwrap()[0];
        let outcome = Outcome {
            id,
            sha256: Some([archive.bytes; 32]),
            stored: Some(Stored {
                file: format!("{}.zip", archive.bytes),
                offset: 0,
                len: 10,
            }),
            judged: Judged {
                violations: archive
                    .violation
                    .iter()
                    .map(|code| Violation::new(*code, "a reason"))
                    .collect(),
                reading: Some(reading()),
                data_sha256: Some([archive.data; 32]),
                entries: 5,
                valid: 5,
                lenient: true,
                ..Judged::default()
            },
            disposal: Disposal {
                good: Action::Move(format!("processed/{}", archive.name)),
                failed: Action::Leave,
                receipt: true,
            },
            imported_at: self.now,
            look_again_at: None,
        };
        self.ledger.close("acme", vec![outcome], self.now).await.unwrap();
        self.import(id).await
    }

    async fn import(&self, id: i64) -> ImportReport {
        self.ledger.import_in_full(id, 10).await.unwrap().unwrap().import
    }
}

/// A claim to an archive of which nothing else matters.
pub(super) fn claim_of(archive: &str) -> Claim {
    Claim {
        seen: Seen {
            name: archive.to_owned(),
            size: 1,
            mtime: 1,
        },
        first_seen_at: 1,
        named_at: Some(1),
        retry_of: None,
    }
}

pub(super) fn reading() -> Reading {
    Reading {
        reader: 1,
        member: Member {
            name: "a.json".to_owned(),
            index: 0,
            method: 8,
            header_offset: 0,
            data_offset: 36,
            compressed_size: 1,
            size: 1,
            crc32: 0,
        },
        options: Options {
            default_business_unit: None,
            duplicate_keys: crate::feed::DuplicateKeys::Reject,
            entry_bytes_max: 1,
            depth_max: 1,
            kind: crate::verdict::FeedKind::Events,
            ordered_items: false,
            order_unique: false,
        },
        limits: Limits {
            unpacked_bytes: 1,
            ratio: 1,
        },
        definitions: None,
    }
}

/// What an import came to, in a line.
fn summary(import: &ImportReport) -> String {
    let imported = if import.imported {
        format!("imported {}", import.accepted)
    } else {
        "nothing".to_owned()
    };
    format!("{}, {imported} [{}]", import.status, import.flags.join(" "))
}

#[tokio::test]
async fn identity_by_name_and_content() {
    use ViolationCode::{AllRejected, MemberName};
    let check = async |before: &[Archive], then: Archive, expect: &str| {
        let mut house = House::new();
        for earlier in before {
            house.take_in(earlier, None).await;
        }
        assert_eq!(summary(&house.take_in(&then, None).await), expect);
    };
    check(&[], archive(FIRST, 1, 1), "processed, imported 5 []").await;
    check(
        &[archive(FIRST, 1, 1)],
        archive(FIRST, 1, 1),
        "duplicate, nothing [duplicate]",
    )
    .await;
    check(
        &[archive(FIRST, 1, 1)],
        archive(FIRST, 2, 1),
        "duplicate, nothing [repacked]",
    )
    .await;
    check(
        &[archive(FIRST, 1, 1)],
        archive(FIRST, 2, 2),
        "processed, imported 5 [name_reused]",
    )
    .await;
    check(
        &[archive(FIRST, 1, 1)],
        archive(SECOND, 2, 1),
        "processed, imported 5 [same_content]",
    )
    .await;
    check(
        &[archive(SECOND, 1, 1)],
        archive(FIRST, 2, 2),
        "processed, imported 5 [late]",
    )
    .await;
    // A lenient failure takes the events in; packed anew under the same name it is mended, and nothing comes in twice.
    let lenient = || archive(FIRST, 1, 1).broken(MemberName);
    check(&[], lenient(), "failed, imported 5 []").await;
    check(&[lenient()], archive(FIRST, 2, 1), "duplicate, nothing [repacked]").await;
    check(
        &[lenient()],
        archive(FIRST, 2, 1).broken(MemberName),
        "failed, nothing [repacked]",
    )
    .await;
    check(&[lenient()], lenient(), "duplicate, nothing [duplicate]").await;
    // What failed with nothing imported does not count as an earlier import.
    let rejected = || archive(FIRST, 1, 1).broken(AllRejected);
    check(&[rejected()], archive(FIRST, 2, 1), "processed, imported 5 []").await;
    check(&[rejected()], rejected(), "failed, nothing [same_failure]").await;
    // The same verdict, even where the rules have changed since: only `retry` judges anew.
    check(&[rejected()], archive(FIRST, 1, 1), "failed, nothing [same_failure]").await;
}

#[tokio::test]
async fn a_retry_judges_the_rules_anew_and_never_imports_twice() {
    let check = async |before: Archive, then: Archive, expect: &str| {
        let mut house = House::new();
        let earlier = house.take_in(&before, None).await;
        assert_eq!(summary(&house.take_in(&then, Some(earlier.id)).await), expect);
    };
    use ViolationCode::{MemberName, TooLarge};
    let too_large = || archive(FIRST, 1, 1).broken(TooLarge);
    check(too_large(), too_large(), "failed, nothing [retry]").await;
    check(too_large(), archive(FIRST, 1, 1), "processed, imported 5 [retry]").await;
    let lenient = || archive(FIRST, 1, 1).broken(MemberName);
    check(lenient(), lenient(), "failed, nothing [duplicate retry]").await;
    check(lenient(), archive(FIRST, 1, 1), "duplicate, nothing [duplicate retry]").await;
}

#[tokio::test]
async fn a_copied_verdict_is_the_same_word_for_word() {
    let mut house = House::new();
    let broken = archive(FIRST, 1, 1).broken(ViolationCode::AllRejected);
    let first = house.take_in(&broken, None).await;
    let second = house.take_in(&archive(FIRST, 1, 1), None).await;
    assert_eq!(second.violations, first.violations);
    assert_eq!((second.entries, second.rejected), (first.entries, first.rejected));
    assert_eq!(second.related.same_failure, Some(first.id));
}

#[tokio::test]
async fn only_what_takes_events_in_keeps_its_bytes() {
    let mut house = House::new();
    house.take_in(&archive(FIRST, 1, 1), None).await;
    house.take_in(&archive(FIRST, 1, 1), None).await;
    house
        .take_in(&archive(SECOND, 2, 2).broken(ViolationCode::AllRejected), None)
        .await;
    let files = ["1.zip", "2.zip"].map(str::to_owned);
    assert_eq!(house.ledger.unused(files.into()).await.unwrap(), ["2.zip"]);
}

#[tokio::test]
async fn a_listing_is_held_against_the_one_before() {
    let mut house = House::new();
    let fresh = house.look(&[(FIRST, 10, 1)]).await;
    assert!(fresh[0].fresh);
    let first_seen_at = fresh[0].first_seen_at;
    let again = house.look(&[(FIRST, 10, 1)]).await;
    assert_eq!((again[0].fresh, again[0].changed_at), (false, first_seen_at));
    // It grew: settling begins anew, and it is remembered since when it has been there.
    let grown = house.look(&[(FIRST, 11, 1)]).await;
    assert_eq!((grown[0].fresh, grown[0].first_seen_at), (true, first_seen_at));
    assert_eq!(grown[0].changed_at, house.now);
    // Gone and come back: a new file.
    house.look(&[]).await;
    assert_eq!(house.look(&[(FIRST, 11, 1)]).await[0].first_seen_at, house.now);
}

#[tokio::test]
async fn a_closed_archive_is_not_looked_at_again_until_it_changes_or_somebody_asks() {
    let mut house = House::new();
    let id = house
        .take_in(&archive(FIRST, 1, 1).broken(ViolationCode::AllRejected), None)
        .await
        .id;
    let mtime = house.now;
    house.look(&[(FIRST, 10, mtime)]).await; // first listed after the claim in this story
    house
        .ledger
        .write("closing by hand", move |t| {
            t.execute("UPDATE listed SET import = ?1", [id])
        })
        .await
        .unwrap();
    assert_eq!(house.look(&[(FIRST, 10, mtime)]).await, []);
    let retried = house.ledger.retry(Again::Failed).await.unwrap();
    assert!(retried[0].again, "{retried:?}");
    assert_eq!(house.look(&[(FIRST, 10, mtime)]).await[0].retry_of, Some(id));
    assert_eq!(house.look(&[(FIRST, 10, mtime + 1)]).await[0].retry_of, None);
}

#[tokio::test]
async fn putting_away_is_asked_for_until_it_is_confirmed() {
    let mut house = House::new();
    let import = house.take_in(&archive(FIRST, 1, 1), None).await;
    let unmoved = house.ledger.unmoved("acme", house.now).await.unwrap();
    assert_eq!(unmoved[0].action, Action::Move(format!("processed/{FIRST}")));
    assert!(unmoved[0].receipt_due);
    house
        .ledger
        .retarget(import.id, "processed/other".to_owned())
        .await
        .unwrap();
    let unmoved = house.ledger.unmoved("acme", house.now).await.unwrap();
    assert_eq!(unmoved[0].action, Action::Move("processed/other".to_owned()));

    let mut put_away = PutAway {
        id: import.id,
        disposition: Disposition::Moved,
        path: "processed/other".to_owned(),
        receipt: Some(true),
        error: None,
        retry_at: None,
        recheck: true,
        gone_from_root: true,
    };
    house
        .ledger
        .confirm("acme", vec![put_away.clone()], house.now)
        .await
        .unwrap();
    let unmoved = house.ledger.unmoved("acme", house.now).await.unwrap();
    assert!(unmoved[0].recheck && !unmoved[0].receipt_due);
    put_away.recheck = false;
    put_away.receipt = None;
    house.ledger.confirm("acme", vec![put_away], house.now).await.unwrap();
    assert_eq!(house.ledger.unmoved("acme", house.now).await.unwrap(), []);
    // The second look was no news: one line for the log.
    assert_eq!(house.ledger.log_lines(10).await.unwrap().len(), 1);
    assert_eq!(house.import(import.id).await.receipt.as_deref(), Some("written"));
}

#[tokio::test]
async fn a_killed_daemons_claims_leave_no_trace() {
    let house = House::new();
    house
        .ledger
        .claim("acme", vec![claim_of(FIRST)], house.now)
        .await
        .unwrap();
    assert_eq!(
        house.ledger.imports(Which::default()).await.unwrap()[0].status,
        "importing"
    );
    assert_eq!(house.ledger.unclaim_all().await.unwrap(), 1);
    assert_eq!(house.ledger.imports(Which::default()).await.unwrap(), []);
}

#[tokio::test]
async fn the_spool_is_held_by_retention_and_by_destinations_that_do_not_lag_too_far() {
    const DAY: Duration = Duration::from_secs(86_400);
    // Two archives of 10 bytes, closed at days 0 and 10; what is pruned at day 12?
    let check = async |cursor: Option<i64>, keep, lag_max: u32, lag_bytes_max, expect: &[&str]| {
        let mut house = House::new();
        house.take_in(&archive(FIRST, 1, 1), None).await;
        house.now += 10 * DAY.as_millis() as i64;
        house.take_in(&archive(SECOND, 2, 2), None).await;
        if let Some(seq) = cursor {
            let insert = "INSERT INTO destinations (name, type, seq, \"index\", state, since_at, created_at)
                          VALUES ('d', 'sqlite', ?1, 0, 'idle', 0, 0)";
            house
                .ledger
                .write("a destination", move |t| t.execute(insert, [seq]))
                .await
                .unwrap();
        }
        let retention = Retention {
            keep: DAY * keep,
            lag_max: DAY * lag_max,
            lag_bytes_max,
        };
        let now = house.now + 2 * DAY.as_millis() as i64;
        let prune = async || {
            let pruning = house.ledger.pruning(retention, now).await.unwrap();
            house.ledger.prune(pruning).await.unwrap().files
        };
        assert_eq!(prune().await, expect);
        assert_eq!(prune().await, [""; 0], "pruned once");
    };
    check(None, 30, 90, None, &[]).await;
    check(None, 5, 90, None, &["1.zip"]).await;
    check(None, 1, 90, None, &["1.zip", "2.zip"]).await;
    check(Some(1), 1, 90, None, &[]).await; // the destination has had nothing yet
    check(Some(2), 1, 90, None, &["1.zip"]).await;
    check(Some(3), 1, 90, None, &["1.zip", "2.zip"]).await;
    check(Some(1), 1, 5, None, &["1.zip"]).await; // too long ago
    check(Some(1), 1, 90, Some(15), &["1.zip"]).await; // too much
    check(Some(1), 1, 90, Some(5), &["1.zip", "2.zip"]).await;
}

#[tokio::test]
async fn a_newer_ledger_is_refused_and_a_missing_one_is_not_made() {
    let house = House::new();
    house
        .ledger
        .write("aging", |t| t.pragma_update(None, "user_version", SCHEMA_VERSION + 1))
        .await
        .unwrap();
    let refused = Ledger::open(house.ledger.path()).err().unwrap().to_string();
    assert!(refused.contains("use the newer feedgate"), "{refused}");
    let missing = house.ledger.path().with_file_name("none.db");
    assert!(matches!(Ledger::open_beside(&missing), Err(LedgerError::Missing(_))));
    assert!(!missing.exists());
}
