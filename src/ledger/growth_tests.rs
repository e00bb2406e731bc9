//! What a ledger costs does not grow with it: every verb of polling, closing and delivering takes as many steps of SQLite's
//! machine with thousands of imports as with some dozens.
//!
//! Steps are counted, not seconds: they are the same on every machine, and they show what no query plan does, such as the
//! tables that are looked through for rows that refer to a deleted one. What may be linear is not here, and is said where it
//! stands: a listing (in its files), how much lies ahead of a destination (in an index), and what people ask of all there is.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::StatementStatus;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::listing::{Passed, Postponed, Seen};
use super::moves::{Disposition, PutAway};
use super::outcome::{Action, Disposal, Judged, Outcome};
use super::report::Which;
use super::retention::{Retention, STEP};
use super::retry::Again;
use super::*;
use crate::config::resolve::Start;

/// A clock that stands still.
const NOW: i64 = 1_700_000_000_000;

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// The same as a duration.
const DAY_LONG: Duration = Duration::from_millis(DAY as u64);

/// Imports, files and letters of a small ledger, and of one that has grown.
const SIZES: (usize, usize) = (60, 6_000);

/// Steps that a statement may take more in a ledger that has grown.
const STEPS_MORE_MAX: i64 = 50;

/// The steps of every statement, by its text.
type Steps = Arc<Mutex<BTreeMap<String, i64>>>;

/// A ledger whose statements are counted.
struct Counted {
    ledger: Ledger,
    steps: Steps,
    size: i64,
    _dir: tempfile::TempDir,
}

impl Counted {
    /// With imports of every kind: processed ones of which most have left the spool, failed ones, all of the same data; and a
    /// dead letter for each. Two sources have taken turns, and a third has sent nothing yet.
    async fn of_size(size: usize) -> Counted {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::open(&dir.path().join("ledger.db")).expect("a ledger");
        let filled = ledger.write("filling", move |transaction| {
            transaction.execute_batch(&format!(
                "CREATE TEMP VIEW numbers AS WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {size})
                    SELECT n FROM numbers;
                 INSERT INTO sources (name, listed_at) VALUES ('acme', 1), ('other', 1), ('quiet', 1);
                 INSERT INTO destinations (name, type, seq, \"index\", state, since_at, created_at) VALUES
                    ('near', 'sqlite', {size} + 1, 0, 'idle', 0, 0), ('far', 'http', 1, 0, 'waiting', 0, 0);
                 INSERT INTO imports (id, seq, source, archive, named_at, size, mtime, sha256, data_sha256, data_bytes, status,
                    imported, onward, entries, accepted, reading, spool_file, spool_offset, spool_len, pruned_at, first_seen_at,
                    claimed_at, imported_at, closed_at, disposition, action, path, receipt)
                 SELECT n, n, CASE n % 2 WHEN 0 THEN 'acme' ELSE 'other' END, 'event_history_' || n, n, 1, 1,
                    randomblob(32), zeroblob(32), 1, CASE n % 5 WHEN 0 THEN 'failed' ELSE 'processed' END, n % 5 > 0, n % 5 > 0, 1, 1, '{reading}',
                    CASE WHEN n % 5 > 0 AND n * 10 > {size} * 7 THEN (n / 4) || '.zip' END, 0, 1, 1, n, n, n, {NOW} + n,
                    CASE n % 5 WHEN 0 THEN 'left' ELSE 'moved' END, 'move', 'processed/' || n, 'written' FROM numbers;
                 INSERT INTO violations (import, n, code, detail)
                    SELECT id, 0, 'member_name', 'other' FROM imports WHERE status = 'failed';
                 INSERT INTO listed (source, name, size, mtime, first_seen_at, changed_at, import)
                    SELECT 'other', archive, 1, 1, 1, 1, id FROM imports WHERE status = 'failed';
                 INSERT INTO dead_letters (destination, kind, import, \"index\", event_id, event, body, reason, refused_at, retry_at)
                    SELECT 'far', 'refused', id, 0, id, 'e', '{{}}', 'no', 1, CASE id % 2 WHEN 0 THEN 5 END FROM imports
                    WHERE imported = 1;
                 DROP VIEW numbers",
                reading = serde_json::to_string(&super::tests::reading()).expect("JSON")
            ))
        });
        filled.await.expect("filled");
        let counted = Counted {
            ledger,
            steps: Steps::default(),
            size: size as i64,
            _dir: dir,
        };
        counted.listen().await;
        counted
    }

    /// Has both connections tell of every statement that ends: there is one reader as long as nobody reads at the same time.
    async fn listen(&self) {
        let hear = |steps: Steps| {
            move |event: TraceEvent<'_>| {
                if let TraceEvent::Profile(statement, _) = event {
                    let took = i64::from(statement.get_status(StatementStatus::VmStep));
                    let mut steps = steps.lock().expect("nobody panics with it");
                    let most = steps.entry(statement.sql().into_owned()).or_default();
                    *most = took.max(*most);
                }
            }
        };
        let profile = TraceEventCodes::SQLITE_TRACE_PROFILE;
        let writer = hear(self.steps.clone());
        let told = self.ledger.job("listening", move |connection| {
            connection.trace_v2(profile, Some(writer))
        });
        told.await.expect("told");
        let mut reader = open::reader(&self.ledger.path).expect("a reader");
        reader.trace_v2(profile, Some(hear(self.steps.clone()))).expect("told");
        let mut readers = self.ledger.readers.lock().expect("nobody panics with it");
        *readers = vec![reader];
    }

    /// What the daemon does when it starts.
    async fn start(&self) {
        let ledger = &self.ledger;
        ledger.identity().await.unwrap();
        self.claim("claimed by a daemon that was killed").await;
        assert_eq!(ledger.unclaim_all().await.unwrap(), 1);
        let names = ["acme", "other", "quiet"].map(str::to_owned);
        ledger.remove_sources_but(names.into()).await.unwrap();
        let names = ["near", "far", "new"].map(str::to_owned);
        ledger.remove_destinations_but(names.into(), NOW).await.unwrap();
        for (name, kind) in [("near", "sqlite"), ("far", "http"), ("new", "file")] {
            let registration = Registration {
                name: name.to_owned(),
                kind,
                start: Start::Now,
                was: None,
            };
            ledger.register(registration, NOW).await.unwrap();
        }
        ledger.source_trouble("acme", None, NOW).await.unwrap();
    }

    /// A poll without news, and one that brings an archive: of the data that all the others have.
    async fn poll(&self) {
        let ledger = &self.ledger;
        assert_eq!(ledger.unmoved("acme", NOW).await.unwrap(), []);
        ledger.look("acme", Vec::new(), Passed::default(), NOW).await.unwrap();
        let seen = |name: &str| Seen {
            name: name.to_owned(),
            size: 1,
            mtime: 1,
        };
        let listing = vec![seen("event_history_new"), seen("event_history_incomplete")];
        assert_eq!(
            ledger
                .look("acme", listing, Passed::default(), NOW)
                .await
                .unwrap()
                .len(),
            2
        );
        let waits = Postponed {
            name: "event_history_incomplete".to_owned(),
            waiting: "incomplete".to_owned(),
            look_at: Some(NOW + 1),
            attempts: 1,
        };
        ledger.postpone("acme", vec![waits]).await.unwrap();
        let in_vain = self.claim("event_history_incomplete").await;
        ledger.unclaim(vec![in_vain]).await.unwrap();
        self.claim("event_history_incomplete").await;
        ledger.unclaim_source("acme").await.unwrap();
        let id = self.claim("event_history_new").await;
        let closed = ledger.close("acme", vec![outcome(id)], NOW).await.unwrap();
        assert_eq!(closed.unmoved.len(), 1);
        assert_eq!(
            ledger
                .unused(vec!["new.zip".to_owned(), "1.zip".to_owned()])
                .await
                .unwrap(),
            ["1.zip"]
        );
        let unmoved = ledger.unmoved("acme", NOW).await.unwrap();
        let full = ledger
            .import_in_full(unmoved[0].id, 10)
            .await
            .unwrap()
            .expect("it is there");
        assert!(full.import.related.same_content.is_some());
        let put_away = PutAway {
            id,
            disposition: Disposition::Moved,
            path: "processed/new".to_owned(),
            receipt: Some(true),
            error: None,
            retry_at: None,
            recheck: false,
            gone_from_root: true,
        };
        ledger.confirm("acme", vec![put_away], NOW).await.unwrap();
        let lines = ledger.log_lines(10).await.unwrap();
        ledger.logged(lines.last().expect("it is told of").n).await.unwrap();
    }

    async fn claim(&self, archive: &str) -> i64 {
        self.ledger
            .claim("acme", vec![super::tests::claim_of(archive)], NOW)
            .await
            .unwrap()[0]
    }

    /// A destination that has everything, one that is far behind, and letters.
    async fn deliver(&self) {
        let ledger = &self.ledger;
        let end = Cursor {
            seq: self.size + 1,
            index: 0,
        };
        for cursor in [Cursor { seq: 1, index: 0 }, end] {
            ledger.ahead(cursor, "events", Vec::new(), 8).await.unwrap();
            ledger
                .ahead(cursor, "events", vec!["acme".to_owned(), "other".to_owned()], 8)
                .await
                .unwrap();
            ledger.closed_as(cursor.seq).await.unwrap();
        }
        assert_eq!(ledger.gap(end.seq, "events", Vec::new()).await.unwrap(), None);
        assert_eq!(
            ledger
                .gap(self.size - 1, "events", vec!["acme".to_owned()])
                .await
                .unwrap(),
            None
        );
        let well = Standing::well(DestinationState::Idle);
        ledger.advance("near", end, 1, well, None, NOW).await.unwrap();
        assert_eq!(ledger.due_letters("far", None, 4, 8, 1000).await.unwrap(), []);
        let due = ledger.due_letters("far", None, 5, 8, 1000).await.unwrap();
        assert_eq!(due.len(), 8);
        let sending = Sending {
            name: "far".to_owned(),
            flight: Flight {
                letters: Some(due.iter().map(|letter| letter.id).collect()),
                ..Flight::default()
            },
            budget: None,
            resent: 0,
        };
        assert_eq!(ledger.begin_call(sending, NOW).await.unwrap(), Leave::Granted);
        ledger.flight("far").await.unwrap();
        let settlement = Settlement {
            name: "far".to_owned(),
            letters_gone: vec![due[0].id],
            letters_kept: vec![KeptLetter {
                id: due[1].id,
                kind: LetterKind::Refused,
                reason: "no".to_owned(),
                retry_at: None,
                waits_for: None,
            }],
            ..Settlement::default()
        };
        ledger.settle(settlement, NOW).await.unwrap();
    }

    /// What leaves the spool, step by step, when everything older than `keep` may go.
    async fn prune(&self, keep: Duration) -> Vec<Vec<String>> {
        let retention = Retention {
            keep,
            lag_max: Duration::ZERO,
            lag_bytes_max: None,
        };
        let mut rest = Some(self.ledger.pruning(retention, NOW + DAY).await.unwrap());
        let mut steps = Vec::new();
        while let Some(pruning) = rest {
            let pruned = self.ledger.prune(pruning).await.unwrap();
            steps.push(pruned.files);
            rest = pruned.rest;
        }
        steps
    }

    /// What people ask.
    async fn look(&self) {
        let ledger = &self.ledger;
        let few = Which {
            limit: Some(5),
            ..Which::default()
        };
        let source = Some("acme".to_owned());
        let archive = Some("event_history_7".to_owned());
        for which in [
            few.clone(),
            Which {
                failed: true,
                ..few.clone()
            },
            Which {
                source: source.clone(),
                ..few.clone()
            },
            Which {
                archive: archive.clone(),
                ..few.clone()
            },
            Which { source, archive, ..few },
        ] {
            ledger.imports(which).await.unwrap();
        }
        let one = Wanted {
            import: Some(self.size - 1),
            ..Wanted::default()
        };
        assert_eq!(ledger.wanted(one, 0, 8).await.unwrap().len(), 1);
        let known = ledger
            .retry(Again::Archive("event_history_none".to_owned()))
            .await
            .unwrap();
        assert_eq!(known, []);
        assert_eq!(ledger.retry(Again::Import(5)).await.unwrap().len(), 1);
    }
}

/// An archive that is as it should be.
fn outcome(id: i64) -> Outcome {
    Outcome {
        id,
        sha256: Some([1; 32]),
        stored: Some(Stored {
            file: "new.zip".to_owned(),
            offset: 0,
            len: 1,
        }),
        judged: Judged {
            reading: Some(super::tests::reading()),
            data_sha256: Some([0; 32]),
            entries: 1,
            valid: 1,
            ..Judged::default()
        },
        disposal: Disposal {
            good: Action::Move("processed/new".to_owned()),
            failed: Action::Leave,
            receipt: true,
        },
        imported_at: NOW,
        look_again_at: None,
    }
}

#[tokio::test]
async fn no_statement_of_polling_closing_and_delivering_costs_more_in_a_ledger_that_has_grown() {
    let steps_of = async |size| {
        let counted = Counted::of_size(size).await;
        counted.start().await;
        counted.poll().await;
        counted.deliver().await;
        assert_eq!(counted.prune(DAY_LONG * 30).await, [[""; 0]]);
        counted.look().await;
        let steps = counted.steps.lock().expect("nobody panics with it");
        steps.clone()
    };
    let (small, large) = (steps_of(SIZES.0).await, steps_of(SIZES.1).await);
    assert!(small.len() > 60, "only {} statements were heard", small.len());
    let grown: Vec<String> = large
        .iter()
        .map(|(statement, steps)| (statement, small.get(statement).copied().unwrap_or(0), steps))
        .filter(|(_, before, steps)| **steps > before + STEPS_MORE_MAX)
        .map(|(statement, before, steps)| format!("{before} steps, then {steps}: {statement}"))
        .collect();
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

#[tokio::test]
async fn what_is_old_leaves_the_spool_in_steps_and_all_of_it_does() {
    let counted = Counted::of_size(SIZES.1).await;
    let nothing = [[""; 0]];
    assert_eq!(counted.prune(DAY_LONG * 30).await, nothing);
    let steps = counted.prune(Duration::ZERO).await;
    let spooled = SIZES.1 / 10 * 3 / 5 * 4;
    assert_eq!(steps.len(), spooled.div_ceil(STEP));
    // Each spool file has several imports, and is let go of with the last of them.
    let files: Vec<&String> = steps.iter().flatten().collect();
    let distinct: HashSet<&String> = files.iter().copied().collect();
    assert_eq!(
        (files.len(), distinct.len()),
        (SIZES.1 / 10 * 3 / 4, SIZES.1 / 10 * 3 / 4)
    );
    assert_eq!(counted.prune(Duration::ZERO).await, nothing);
}
