//! Events that are refused: found among the others, put aside as dead letters, and the others delivered once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feedgate::ledger::DestinationState;
use serde_json::{Value, json};

use super::{Came, MONDAY, TUESDAY, came, check, feed, feed_with, id, is_marked, refuse_marked};
use crate::house::http_server::{HttpServer, Request, Script};
use crate::house::world::{World, http};

/// Most calls for one parcel: the parcel itself, and the search.
const CALLS_MAX: usize = 1 + 20;

/// A parcel of a hundred with these events marked, sent to a server that refuses whatever has one of them in it.
async fn a_hundred_with(marked: &[usize]) -> (World, HttpServer) {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(refuse_marked);
    world.import("acme", MONDAY, &feed_with(100, marked)).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 100;
    let outcome = world.deliver(&crm).await;
    assert_eq!(outcome.trouble, None);
    let stored: usize = server.stored().iter().map(|request| request.events().len()).sum();
    assert_eq!(outcome.delivered as usize, stored);
    assert!(
        server.requests().len() <= CALLS_MAX,
        "{} calls",
        server.requests().len()
    );
    (world, server)
}

fn indices(world: &World) -> Vec<usize> {
    let letters = world.letters("crm");
    letters.iter().map(|letter| letter.index as usize).collect()
}

#[tokio::test]
async fn those_at_fault_and_no_others_become_dead_letters() {
    for marked in [&[0][..], &[99], &[50], &[0, 99], &[41, 42], &[7, 8]] {
        let (world, server) = a_hundred_with(marked).await;
        assert_eq!(indices(&world), marked);
        let expected = Came {
            letters: marked.len(),
            ..came(100 - marked.len())
        };
        assert_eq!(check(&world, &server, "crm").await, expected, "{marked:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_says_all_there_is_to_say() {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(refuse_marked);
    let body = "{ \"event\" : \"K\\u00e4ufe \\ud83d\\ude00\", \"id\":\"u\", \"total\": 5.00,\n \"bad\":true}";
    world
        .import(
            "acme",
            MONDAY,
            &format!("[{{\"event\":\"x\",\"id\":\"y\"}},{{}},{body}]"),
        )
        .await;
    world.deliver(&world.http("crm", &server)).await;
    let letters = world.letters("crm");
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.kind.as_str(), letter.index, letter.attempts), ("refused", 2, 1));
    assert_eq!(letter.body, body, "byte for byte");
    assert_eq!(letter.event, "Käufe 😀");
    assert_eq!(letter.retry_at, None);
    assert!(
        letter.reason.contains("422") && letter.reason.contains("bad is not wanted here"),
        "{letter:?}"
    );
    let history = letter.history.as_array().expect("a list");
    assert_eq!((history.len(), &history[0]["reason"]), (1, &json!(letter.reason)));
    assert!(
        history[0]["at"]
            .as_str()
            .is_some_and(|at| at.starts_with("2026-02-03T04:05:")),
        "{history:?}"
    );
    let refused = server.requests().pop().expect("the last call");
    let ids: Vec<String> = refused.events().iter().map(id).collect();
    assert_eq!(ids.join(" "), letter.event_id);
}

#[tokio::test]
async fn too_many_to_find_and_what_is_left_is_put_aside() {
    let every_other: Vec<usize> = (0..100).step_by(2).collect();
    let (world, server) = a_hundred_with(&every_other).await;
    let came = check(&world, &server, "crm").await;
    assert_eq!(came.events + came.letters, 100);
    assert!(came.in_order && came.events > 0 && came.twice == 0, "{came:?}");
    let letters = world.letters("crm");
    assert!(
        every_other
            .iter()
            .all(|n| letters.iter().any(|letter| letter.index as usize == *n))
    );
    let given_up = letters
        .iter()
        .find(|letter| letter.index % 2 == 1)
        .expect("some were given up");
    assert!(given_up.reason.contains("20 more calls"), "{given_up:?}");
    assert_eq!(server.requests().len(), CALLS_MAX);
}

#[tokio::test]
async fn all_of_them_refused() {
    let all: Vec<usize> = (0..100).collect();
    let (world, server) = a_hundred_with(&all).await;
    assert_eq!(
        check(&world, &server, "crm").await,
        Came {
            letters: 100,
            ..came(0)
        }
    );
    assert_eq!(
        world.row("crm").await.standing.state,
        DestinationState::Idle,
        "one parcel says little"
    );
}

#[tokio::test]
async fn refusals_without_end_bar_the_destination_and_then_spoil_one_parcel_a_try() {
    let world = World::new();
    let server = HttpServer::start();
    server.always(Script::status(400).with_body("no such thing"));
    world.import("acme", MONDAY, &feed(100)).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 2;
    let running = world.start(&crm);
    let row = world
        .until("crm", |row| row.standing.state == DestinationState::Barred)
        .await;
    assert!(
        row.standing
            .reason
            .is_some_and(|reason| reason.contains("feedgate dead-letters crm"))
    );
    assert_eq!(world.letters("crm").len(), 20, "ten parcels of two");
    let calls = server.requests().len();
    for spoiled in [22, 24] {
        // Letters that are due would go first: only the waiting is to be over.
        world.tamper("UPDATE destinations SET retry_at = 1");
        world.until("crm", |_| world.letters("crm").len() == spoiled).await;
        world
            .until("crm", |row| {
                row.standing.state == DestinationState::Barred && row.standing.retry_at > Some(1)
            })
            .await;
    }
    assert_eq!(server.requests().len() - calls, 6, "three calls for two events");
    // Mended: the others arrive, and so do those put aside, when somebody asks for it.
    server.always(Script::ok("{}"));
    assert_eq!(world.deliver_again("crm").await, 24);
    world.everything_delivered("crm").await;
    running.stop().await;
    assert_eq!(
        Came {
            in_order: true,
            ..check(&world, &server, "crm").await
        },
        came(100)
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_of_the_search_spoils_nothing() {
    let world = World::new();
    let server = HttpServer::start();
    let (time, began) = (world.time.clone(), world.time.now());
    let calls = Arc::new(Mutex::new(0));
    let (counted, hours) = (calls.clone(), 5 * 3_600_000);
    server.answer_with(move |request| {
        let mut calls = counted.lock().expect("no test panicked");
        *calls += 1;
        match *calls > 2 && time.now() - began < hours {
            true => Script::status(503),
            false => refuse_marked(request),
        }
    });
    world.import("acme", MONDAY, &feed_with(100, &[66])).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 100;
    world.deliver_all(&crm).await;
    assert!(
        *calls.lock().expect("no test panicked") > 40,
        "longer than the search may take"
    );
    assert_eq!(indices(&world), [66]);
    assert_eq!(check(&world, &server, "crm").await, Came { letters: 1, ..came(99) });
}

#[tokio::test]
async fn what_is_too_large_is_halved_until_it_fits() {
    let world = World::new();
    let server = HttpServer::start();
    let too_large = |request: &Request| match request.body.len() > 3_000 {
        true => Script::status(413),
        false => Script::ok("{}"),
    };
    server.answer_with(too_large);
    let big = "x".repeat(4_000);
    let mut entries: Vec<String> = (0..300).map(|n| format!(r#"{{"event":"e","id":"u{n}"}}"#)).collect();
    entries[130] = format!(r#"{{"event":"big","id":"u","text":"{big}"}}"#);
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 100;
    assert_eq!(world.deliver(&crm).await.delivered, 299);
    assert_eq!(
        check(&world, &server, "crm").await,
        Came {
            letters: 1,
            ..came(299)
        }
    );
    let letters = world.letters("crm");
    assert_eq!((letters[0].event.as_str(), letters[0].index), ("big", 130));
    assert!(letters[0].reason.contains("413"), "{letters:?}");
    // One large event is no reason to send all that follow one by one.
    let calls = server.requests().len();
    assert!(calls < 100, "{calls} calls for three parcels");
}

#[tokio::test]
async fn a_part_whose_answer_is_lost_is_the_same_part_after_a_restart() {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(|request| match request.events().len() > 5 {
        true => Script::status(413),
        false => Script::ok("{}"),
    });
    server.next(Script::status(413));
    server.next(Script::status(413));
    server.next(Script::CutAfter);
    world.import("acme", MONDAY, &feed(10)).await;
    let crm = world.http("crm", &server);
    assert!(world.deliver(&crm).await.trouble.is_some());
    assert_eq!(world.deliver(&crm).await.delivered, 10);
    let requests = server.requests();
    assert_eq!(
        requests[2].header("idempotency-key"),
        requests[3].header("idempotency-key")
    );
    let expected = Came {
        twice: 2,
        resent: 2,
        ..came(10)
    };
    assert_eq!(check(&world, &server, "crm").await, expected);
}

#[tokio::test(start_paused = true)]
async fn verdicts_event_by_event_and_deferred_ones_come_again_by_themselves() {
    let world = World::new();
    let server = HttpServer::start();
    let deferred: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let times: Arc<Mutex<Vec<i64>>> = Arc::default();
    let (seen, noted, time) = (deferred.clone(), times.clone(), world.time.clone());
    server.answer_with(move |request| {
        noted.lock().expect("no test panicked").push(time.now());
        let mut seen = seen.lock().expect("no test panicked");
        let number = |event: &Value| event["body"]["n"].as_u64().expect("a number");
        let events = request.events();
        let refused: Vec<Value> = events
            .iter()
            .filter(|event| is_marked(event))
            .map(|event| json!({"id": id(event), "reason": "bad"}))
            .collect();
        let later: Vec<String> = events
            .iter()
            .filter(|event| number(event) % 10 == 4 && seen.insert(id(event)))
            .map(id)
            .collect();
        Script::json(&json!({"refused": refused, "deferred": later}))
    });
    world.import("acme", MONDAY, &feed_with(20, &[3, 19])).await;
    let crm = world.http("crm", &server);
    let running = world.start(&crm);
    world.everything_delivered("crm").await;
    world.until("crm", |_| world.letters("crm").len() == 2).await;
    running.stop().await;

    let letters = world.letters("crm");
    assert_eq!(indices(&world), [3, 19]);
    assert!(
        letters
            .iter()
            .all(|letter| letter.kind == "refused" && letter.reason.contains("bad"))
    );
    let times = times.lock().expect("no test panicked").clone();
    assert_eq!(times.len(), 3, "the two deferred ones come together");
    let waited = times[2] - times[1];
    // Time flies while the ledger is written to.
    assert!((600_000..=1_800_000).contains(&waited), "{waited}");
    let requests = server.requests();
    let again: Vec<Value> = requests[2].events();
    assert_eq!(
        again.iter().map(|event| event["body"]["n"].clone()).collect::<Vec<_>>(),
        [4, 14]
    );
    let row = world.row("crm").await;
    assert_eq!(row.delivered, 18, "a deferred event counts when it is taken");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_everything_later_is_not_one_that_refuses_everything() {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(|request| {
        let ids: Vec<String> = request.events().iter().map(id).collect();
        Script::json(&json!({ "deferred": ids }))
    });
    world.import("acme", MONDAY, &feed(150)).await;
    let crm = world.http("crm", &server);
    let running = world.start(&crm);
    world.everything_delivered("crm").await;
    assert!(world.letters("crm").iter().all(|letter| letter.kind == "deferred"));
    server.always(Script::ok("{}"));
    world.until("crm", |_| world.letters("crm").is_empty()).await;
    running.stop().await;
    // Kept is what the last answers took; the server here counts all 2xx.
    assert_eq!(world.row("crm").await.delivered, 150);
}

#[tokio::test]
async fn nobody_says_which_ones() {
    let world = World::new();
    let server = HttpServer::start();
    server.next(Script::json(&json!({"refused": 3})));
    world.import("acme", MONDAY, &feed(5)).await;
    world.import("acme", TUESDAY, &feed(25)).await;
    let outcome = world.deliver(&world.http("crm", &server)).await;
    assert_eq!((outcome.delivered, outcome.trouble), (27, None));
    let letters = world.letters("crm");
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.kind.as_str(), letter.body.lines().count()),
        ("unidentified", 10)
    );
    assert_eq!(server.requests().len(), 3, "never sent again unasked");
    // Whatever the time: nothing of it is due.
    world.time.pass(Duration::from_secs(1_000_000));
    world.deliver(&world.http("crm", &server)).await;
    assert_eq!(server.requests().len(), 3);
    // Asked: all ten, since nobody knows.
    world.deliver_again("crm").await;
    world.deliver(&world.http("crm", &server)).await;
    assert_eq!(world.letters("crm"), []);
    let requests = server.requests();
    assert_eq!(
        requests[0].header("idempotency-key"),
        requests[3].header("idempotency-key")
    );
    assert_eq!(requests[0].body, requests[3].body);
}
