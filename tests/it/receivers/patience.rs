//! Waiting as long as it takes and no longer: simulated hours. Time stands still while a request is on its way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use feedgate::ledger::{DestinationRow, DestinationState};

use super::log::Log;
use super::{Came, MONDAY, TUESDAY, came, check, feed};
use crate::house::http_server::{HttpServer, Script};
use crate::house::world::{World, http};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Timers are rounded up.
const SLACK: i64 = 100;

/// Has a server answer by the number of the request and by the time since the world's beginning, in milliseconds, and notes
/// the times.
fn answer_by_time(
    server: &HttpServer,
    world: &World,
    answer: impl Fn(usize, i64) -> Script + Send + Sync + 'static,
) -> Arc<Mutex<Vec<i64>>> {
    let times: Arc<Mutex<Vec<i64>>> = Arc::default();
    let (noted, time, began) = (times.clone(), world.time.clone(), world.time.now());
    server.answer_with(move |_| {
        let now = time.now() - began;
        let mut noted = noted.lock().expect("no test panicked");
        noted.push(now);
        answer(noted.len(), now)
    });
    times
}

/// The times between requests.
fn gaps(times: &Mutex<Vec<i64>>) -> Vec<i64> {
    let times = times.lock().expect("no test panicked");
    times.windows(2).map(|two| two[1] - two[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_500_is_said_once_at_its_start_and_once_at_its_end() {
    let log = Log::listen();
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(10)).await;
    let times = answer_by_time(&server, &world, |_, now| match now < HOUR {
        true => Script::status(500).with_body("out of order"),
        false => Script::ok("{}"),
    });
    world.deliver_all(&world.http("crm", &server)).await;

    assert_eq!(check(&world, &server, "crm").await, came(10));
    let gaps = gaps(&times);
    // 1 s, 2 s, 4 s … 5 min, of each up to half taken off.
    assert!((18..=36).contains(&gaps.len()), "{gaps:?}");
    for (n, gap) in gaps.iter().enumerate() {
        let longest = (1_000 << n.min(30)).min(5 * MINUTE);
        assert!((longest / 2..=longest + SLACK).contains(gap), "{n}: {gaps:?}");
    }
    assert_eq!(
        log.said(),
        [
            "WARN destination is unavailable",
            "INFO delivering again",
            "INFO delivered"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_said_again_every_hour() {
    let log = Log::listen();
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(10)).await;
    answer_by_time(&server, &world, |_, now| match now < 5 * HOUR {
        true => Script::status(500),
        false => Script::ok("{}"),
    });
    world.deliver_all(&world.http("crm", &server)).await;
    let said = log.said();
    let unavailable = said.iter().filter(|line| line.ends_with("unavailable")).count();
    assert!((4..=5).contains(&unavailable), "{said:?}");
    assert_eq!(said.iter().filter(|line| line.ends_with("delivering again")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_for_an_hour() {
    let log = Log::listen();
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(25)).await;
    server.stop();
    let crm = world.http("crm", &server);
    let began = world.time.now();
    let running = world.start(&crm);
    let is_over = |row: &DestinationRow| row.standing.attempts > 0 && world.time.now() - began >= HOUR;
    let standing = world.until("crm", is_over).await.standing;
    assert!((5..=40).contains(&standing.attempts), "{standing:?}");
    assert!(standing.reason.is_some_and(|reason| reason.contains("refused")));
    server.restart();
    world.everything_delivered("crm").await;
    running.stop().await;
    assert_eq!(
        check(&world, &server, "crm").await,
        came(25),
        "nothing of it had been sent"
    );
    let said = log.said();
    assert_eq!(
        said.first().map(String::as_str),
        Some("WARN destination is unavailable")
    );
    assert_eq!(said.iter().filter(|line| line.ends_with("delivering again")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_says_when_to_come_back_is_left_alone_until_then() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(30)).await;
    let times = answer_by_time(&server, &world, |nth, _| match nth {
        2 => Script::status(429).with_header("Retry-After", "7"),
        4 => Script::status(429).with_header("Retry-After", "4000"),
        5 => Script::status(503).with_header("Retry-After", "0"),
        6 => Script::status(429),
        7 => Script::status(429).with_header("Retry-After", "soon"),
        _ => Script::ok("{}"),
    });
    world.deliver_all(&world.http("crm", &server)).await;

    assert_eq!(check(&world, &server, "crm").await, came(30));
    let gaps = gaps(&times);
    let wanted = [
        0..=SLACK,
        7_000..=7_000 + SLACK,
        0..=SLACK,
        4_000_000..=4_000_000 + SLACK,
        1_000..=1_000 + SLACK,
        // Nothing was said that can be understood: the usual waits, for the third and fourth time in a row.
        2_000..=4_000 + SLACK,
        4_000..=8_000 + SLACK,
    ];
    assert_eq!(gaps.len(), wanted.len(), "{gaps:?}");
    for (gap, wanted) in gaps.iter().zip(&wanted) {
        assert!(wanted.contains(gap), "{gaps:?} should be {wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_to_come_back_at() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(10)).await;
    // A date is held against the real clock, which stands still beside the simulated one.
    let date = (chrono::Utc::now() + Duration::from_secs(600)).format("%a, %d %b %Y %H:%M:%S GMT");
    let answer = Script::status(503).with_header("Retry-After", &date.to_string());
    let times = answer_by_time(&server, &world, move |nth, _| match nth {
        1 => answer.clone(),
        _ => Script::ok("{}"),
    });
    world.deliver_all(&world.http("crm", &server)).await;
    assert_eq!(check(&world, &server, "crm").await, came(10));
    let gaps = gaps(&times);
    // Less what has passed of it in reality since.
    assert!(matches!(gaps[..], [540_000..=601_500]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn somebody_asks_for_another_try_while_it_waits() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(10)).await;
    let day = 80_000 * 1_000;
    let times = answer_by_time(&server, &world, |nth, _| match nth {
        1 => Script::status(429).with_header("Retry-After", "80000"),
        _ => Script::ok("{}"),
    });
    let running = world.start(&world.http("crm", &server));
    let row = world
        .until("crm", |row| row.standing.state == DestinationState::Waiting)
        .await;
    assert!(row.standing.retry_at > Some(world.time.now() + day / 2), "{row:?}");
    world.deliver_again("crm").await;
    world.everything_delivered("crm").await;
    running.stop().await;
    assert_eq!(check(&world, &server, "crm").await, came(10));
    // The ledger is asked every five seconds. Time flies while it is written to, though.
    assert!(gaps(&times)[0] < day / 2, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_tell_is_not_sent_again_unasked() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(10)).await;
    world.import("acme", TUESDAY, &feed(5)).await;
    // It was stored, and the answer speaks of events that were not sent.
    server.next(Script::ok(r#"{"refused":["another-1"]}"#));
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 10;

    let running = world.start(&crm);
    let row = world
        .until("crm", |row| row.standing.state == DestinationState::Barred)
        .await;
    let reason = row.standing.reason.expect("a reason");
    assert!(reason.contains("feedgate retry --dead-letters crm"), "{reason}");
    assert_eq!(row.standing.retry_at, None);
    world.time.pass(Duration::from_secs(7 * 24 * 3600));
    tokio::time::sleep(Duration::from_secs(60)).await;
    running.crash().await;
    // Neither a restart nor a pass by hand is somebody who looked.
    for _ in 0..2 {
        assert!(world.deliver(&crm).await.trouble.is_some());
    }
    assert_eq!((server.requests().len(), world.resent("crm")), (1, 0));

    world.deliver_again("crm").await;
    world.deliver_all(&crm).await;
    let expected = Came {
        twice: 10,
        resent: 10,
        ..came(15)
    };
    assert_eq!(check(&world, &server, "crm").await, expected);
}
