//! Stopped at every request, before and after it took effect, and arrived at the same end.
//!
//! Each walk is a world of its own: fifty events, of which one is refused, on their way in parcels of ten, one of which is
//! answered with 500 and one stored and cut off. At one request, the n-th of all, the delivery is dropped as if the process
//! were gone, or the ledger does not take down what came of it; and a new one goes on over the same ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use feedgate::config::resolve::DestinationSettings;
use rusqlite::Connection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Came, MONDAY, TUESDAY, check, feed, feed_with, refuse_marked};
use crate::house::http_server::{HttpServer, Request, Script};
use crate::house::world::World;

/// Starts after which everything has to be delivered.
const STARTS_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Never: what a world without crashes comes to.
    Never,
    /// Gone before the request was stored.
    BeforeStored,
    /// Gone when it was stored, before the answer was read.
    AfterStored,
    /// The answer was read, and what came of it could not be written down.
    AfterAnswered,
}

/// The far end of every walk: it has moods that do not depend on who asks how often.
pub(super) fn moody(request: &Request, earlier: &[Request]) -> Script {
    let has = |request: &Request, n: u64| request.events().iter().any(|event| event["body"]["n"] == n);
    let first_time = |n: u64| has(request, n) && !earlier.iter().any(|earlier| has(earlier, n));
    match request {
        _ if first_time(1) => Script::status(500),
        _ if first_time(33) => Script::CutAfter,
        _ => refuse_marked(request),
    }
}

struct Walk {
    world: World,
    server: Arc<HttpServer>,
    crm: DestinationSettings,
    /// The request it stops at has come.
    stopped: Arc<Notify>,
}

impl Walk {
    async fn new(nth: usize, stop: Stop) -> Walk {
        let world = World::new();
        let server = Arc::new(HttpServer::start());
        world.import("acme", MONDAY, &feed_with(43, &[17])).await;
        world.import("acme", TUESDAY, &feed(7)).await;
        let stopped = Arc::new(Notify::new());
        let (weak, count, ledger, tell) = (
            Arc::downgrade(&server),
            AtomicUsize::new(0),
            world.path("ledger.db"),
            stopped.clone(),
        );
        server.answer_with(move |request| {
            let earlier = weak.upgrade().map_or_else(Vec::new, |server| server.requests());
            let script = moody(request, &earlier);
            if count.fetch_add(1, Ordering::Relaxed) + 1 != nth {
                return script;
            }
            match stop {
                Stop::Never => script,
                Stop::AfterAnswered => {
                    tamper(
                        &ledger,
                        "CREATE TRIGGER full BEFORE UPDATE OF delivered ON destinations
                         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
                    );
                    script
                }
                Stop::BeforeStored | Stop::AfterStored => {
                    tell.notify_one();
                    // What the far end would have stored, it stores.
                    let store = stop == Stop::AfterStored
                        && matches!(script, Script::CutAfter | Script::Answer { store: true, .. });
                    Script::Stall { store }
                }
            }
        });
        let crm = world.http("crm", &server);
        Walk {
            world,
            server,
            crm,
            stopped,
        }
    }

    /// Starts again and again until everything is delivered.
    async fn comes_to_rest(&self) {
        for _ in 0..STARTS_MAX {
            let delivery = self.world.delivery(&self.crm);
            let mut running = tokio::spawn(delivery.once(CancellationToken::new()));
            tokio::select! {
                outcome = &mut running => {
                    if outcome.expect("no fault of the program").trouble.is_none() {
                        return;
                    }
                    self.world.tamper("DROP TRIGGER IF EXISTS full");
                }
                () = self.stopped.notified() => {
                    self.server.wait_for_stalled(1);
                    running.abort();
                    assert!(running.await.is_err_and(|error| error.is_cancelled()));
                }
            }
            self.world.time.pass(Duration::from_secs(3_600));
        }
        panic!("no rest after {STARTS_MAX} starts: {:#?}", self.server.requests());
    }
}

fn tamper(ledger: &std::path::Path, sql: &str) {
    let ledger = Connection::open(ledger).expect("the ledger");
    ledger.execute_batch(sql).expect("tampering");
}

/// A world without crashes: what it comes to, and how many requests that takes.
async fn reference() -> (Came, usize) {
    let walk = Walk::new(0, Stop::Never).await;
    walk.comes_to_rest().await;
    let came = check(&walk.world, &walk.server, "crm").await;
    let expected = Came {
        events: 49,
        twice: 10,
        letters: 1,
        resent: 10,
        in_order: true,
    };
    assert_eq!(came, expected);
    (came, walk.server.requests().len())
}

async fn walk(stop: Stop) {
    let (expected, requests) = reference().await;
    assert!(requests >= 12, "{requests} requests are a short walk");
    for nth in 1..=requests {
        let walk = Walk::new(nth, stop).await;
        walk.comes_to_rest().await;
        let what = format!("{stop:?}, request {nth} of {requests}");
        let came = check(&walk.world, &walk.server, "crm").await;
        let at = &walk.server.requests()[nth - 1];
        // Only what was stored by the very request may be there once more.
        let again = if at.stored { at.events().len() } else { 0 };
        assert!(came.twice <= expected.twice + again, "{what}: {came:?}");
        assert!(came.resent >= came.twice as u64, "{what}: {came:?}");
        let same = Came {
            twice: expected.twice,
            resent: expected.resent,
            ..came
        };
        assert_eq!(same, expected, "{what}");
        assert_eq!(walk.world.letters("crm")[0].index, 17, "{what}");
        assert_eq!(walk.world.row("crm").await.delivered, 49, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_before_any_request_is_stored() {
    walk(Stop::BeforeStored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_after_any_request_is_stored() {
    walk(Stop::AfterStored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_takes_nothing_down_after_any_answer() {
    walk(Stop::AfterAnswered).await;
}
