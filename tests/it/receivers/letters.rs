//! Dead letters: delivered again when somebody asks, gone when they are delivered, and a bound on how many there may be.

use std::time::Duration;

use feedgate::ledger::DestinationState;
use serde_json::{Value, json};

use super::{Came, MONDAY, TUESDAY, came, check, feed, feed_with, id, is_marked, refuse_marked};
use crate::house::http_server::{HttpServer, Script};
use crate::house::world::{Letter, World};

/// Thirty events of which three are dead letters.
async fn three_letters() -> (World, HttpServer) {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(refuse_marked);
    world.import("acme", MONDAY, &feed_with(30, &[3, 17, 18])).await;
    assert_eq!(world.deliver(&world.http("crm", &server)).await.delivered, 27);
    assert_eq!(world.letters("crm").len(), 3);
    (world, server)
}

#[tokio::test]
async fn mended_and_delivered_again_they_are_gone() {
    let (world, server) = three_letters().await;
    let ids: Vec<String> = world.letters("crm").into_iter().map(|letter| letter.event_id).collect();
    let crm = world.http("crm", &server);
    server.always(Script::ok("{}"));
    let calls = server.requests().len();
    assert_eq!(world.deliver(&crm).await.delivered, 0, "not unless somebody asks");
    assert_eq!(server.requests().len(), calls);

    assert_eq!(world.deliver_again("crm").await, 3);
    assert_eq!(world.deliver(&crm).await.delivered, 3);
    let requests = server.requests();
    assert_eq!(requests.len(), calls + 1, "all in one call");
    assert_eq!(requests[calls].events().iter().map(id).collect::<Vec<_>>(), ids);
    // They come late, and everything else about them is as it would have been.
    assert_eq!(
        check(&world, &server, "crm").await,
        Came {
            in_order: false,
            ..came(30)
        }
    );
    let row = world.row("crm").await;
    assert_eq!((row.delivered, row.standing.state), (30, DestinationState::Idle));
    assert_eq!(world.deliver(&crm).await.delivered, 0);
    assert_eq!(server.requests().len(), calls + 1);
}

#[tokio::test]
async fn refused_again_they_remember_it() {
    let (world, server) = three_letters().await;
    let crm = world.http("crm", &server);
    let before = world.letters("crm");
    for attempts in 2..=25 {
        world.time.pass(Duration::from_secs(60));
        world.deliver_again("crm").await;
        world.deliver(&crm).await;
        let letters = world.letters("crm");
        assert_eq!(letters.len(), 3);
        for (letter, before) in letters.iter().zip(&before) {
            let history = letter.history.as_array().expect("a list");
            assert_eq!((letter.attempts, history.len()), (attempts, attempts.min(20) as usize));
            let times: Vec<&Value> = history.iter().map(|attempt| &attempt["at"]).collect();
            assert!(
                times.windows(2).all(|two| two[0].as_str() < two[1].as_str()),
                "{times:?}"
            );
            let unchanged = Letter {
                attempts: before.attempts,
                history: before.history.clone(),
                ..letter.clone()
            };
            assert_eq!(&unchanged, before);
        }
    }
    assert_eq!(check(&world, &server, "crm").await, Came { letters: 3, ..came(27) });
}

#[tokio::test]
async fn some_are_taken_and_some_are_not() {
    let (world, server) = three_letters().await;
    let crm = world.http("crm", &server);
    server.answer_with(
        |request| match request.events().iter().any(|event| event["body"]["n"] == 17) {
            true => Script::status(422),
            false => Script::ok("{}"),
        },
    );
    world.deliver_again("crm").await;
    assert_eq!(world.deliver(&crm).await.delivered, 2);
    let letters = world.letters("crm");
    assert_eq!(letters.iter().map(|letter| letter.index).collect::<Vec<_>>(), [17]);
    assert_eq!(
        check(&world, &server, "crm").await,
        Came {
            letters: 1,
            in_order: false,
            ..came(29)
        }
    );
}

#[tokio::test]
async fn they_need_no_spool() {
    let (world, server) = three_letters().await;
    let accepted = check(&world, &server, "crm").await;
    std::fs::remove_file(world.spooled("acme", MONDAY)).expect("the spool file");
    server.always(Script::ok("{}"));
    world.deliver_again("crm").await;
    assert_eq!(world.deliver(&world.http("crm", &server)).await.delivered, 3);
    assert_eq!((accepted.events, world.letters("crm").len()), (27, 0));
}

#[tokio::test]
async fn their_answer_is_lost() {
    let (world, server) = three_letters().await;
    let crm = world.http("crm", &server);
    server.always(Script::ok("{}"));
    server.next(Script::CutAfter);
    world.deliver_again("crm").await;
    assert!(world.deliver(&crm).await.trouble.is_some());
    assert_eq!(world.letters("crm").len(), 3, "nobody knows");
    assert_eq!(world.deliver(&crm).await.delivered, 3);
    let expected = Came {
        twice: 3,
        resent: 3,
        in_order: false,
        ..came(30)
    };
    assert_eq!(check(&world, &server, "crm").await, expected);
}

/// What was in the call whose answer was lost is sent again as it was, though others are due by then.
#[tokio::test(flavor = "multi_thread")]
async fn their_answer_is_lost_and_others_come_to_be_due() {
    let world = World::new();
    let server = HttpServer::start();
    // The first of all is wanted later, the marked ones never.
    server.answer_with(|request| {
        let named = |wanted: &dyn Fn(&Value) -> bool| -> Vec<String> {
            request.events().iter().filter(|event| wanted(event)).map(id).collect()
        };
        let (refused, deferred) = (named(&is_marked), named(&|event| event["body"]["n"] == 0));
        Script::json(&json!({ "refused": refused, "deferred": deferred }))
    });
    world.import("acme", MONDAY, &feed_with(10, &[5, 6])).await;
    let crm = world.http("crm", &server);
    assert_eq!(world.deliver(&crm).await.delivered, 7);
    server.forget();
    server.always(Script::ok("{}"));
    server.next(Script::Stall { store: true });
    world.tamper("UPDATE dead_letters SET retry_at = 0 WHERE kind = 'refused'");
    let running = world.start(&crm);
    server.wait_for_stalled(1);
    running.crash().await;
    world.time.pass(Duration::from_secs(600));

    assert_eq!(world.deliver(&crm).await.delivered, 3);
    let keys: Vec<(String, usize)> = server
        .stored()
        .iter()
        .map(|request| {
            (
                request.header("idempotency-key").expect("a key").to_owned(),
                request.events().len(),
            )
        })
        .collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert_eq!((&keys[0], keys[2].1), (&keys[1], 1), "{keys:?}");
    assert_eq!((world.letters("crm").len(), world.resent("crm")), (0, 2));
}

/// Somebody discards a letter while it is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn discarded_on_their_way() {
    let (world, server) = three_letters().await;
    let crm = world.http("crm", &server);
    server.answer_with(refuse_marked);
    server.next(Script::Stall { store: false });
    world.deliver_again("crm").await;
    let running = world.start(&crm);
    server.wait_for_stalled(1);
    world.tamper("DELETE FROM dead_letters WHERE \"index\" = 17");
    let calls = server.requests().len();
    // The answer takes all of them; the two that are left are delivered, and nothing is made of the third.
    server.release();
    world.until("crm", |row| row.delivered == 30).await;
    running.stop().await;
    assert_eq!((world.letters("crm").len(), server.requests().len()), (0, calls));

    // Refused this time: there is nothing to put it back to.
    let (world, server) = three_letters().await;
    let crm = world.http("crm", &server);
    world.deliver_again("crm").await;
    let ledger = world.path("ledger.db");
    server.answer_with(move |request| {
        let ledger = rusqlite::Connection::open(&ledger).expect("the ledger");
        ledger
            .execute("DELETE FROM dead_letters WHERE \"index\" = 17", [])
            .expect("discarded");
        refuse_marked(request)
    });
    let outcome = world.deliver(&crm).await;
    assert_eq!((outcome.delivered, outcome.trouble), (0, None));
    assert_eq!(
        world
            .letters("crm")
            .iter()
            .map(|letter| letter.attempts)
            .collect::<Vec<_>>(),
        [2, 2]
    );
}

#[tokio::test]
async fn too_many_bar_the_destination_until_somebody_has_looked() {
    let world = World::new();
    let server = HttpServer::start();
    server.answer_with(refuse_marked);
    let marked: Vec<usize> = (0..30).step_by(3).collect();
    world.import("acme", MONDAY, &feed_with(30, &marked)).await;
    world.import("acme", TUESDAY, &feed(10)).await;
    let mut crm = world.http("crm", &server);
    crm.dead_letters_max = 5;
    let outcome = world.deliver(&crm).await;
    let trouble = outcome.trouble.expect("too many");
    assert!(
        trouble.contains("`dead_letters_max` is 5") && trouble.contains("feedgate dead-letters crm"),
        "{trouble}"
    );
    let row = world.row("crm").await;
    assert_eq!(row.standing.state, DestinationState::Barred);
    let (letters, calls) = (world.letters("crm").len(), server.requests().len());
    assert!(
        (5..=5 + 10).contains(&letters),
        "not many more than were allowed: {letters}"
    );
    assert!(world.deliver(&crm).await.trouble.is_some());
    assert_eq!(
        (world.letters("crm").len(), server.requests().len()),
        (letters, calls),
        "nothing is sent"
    );

    // Mended, and delivered again: the letters go first, and then all the rest.
    server.always(Script::ok("{}"));
    world.deliver_again("crm").await;
    assert_eq!(world.deliver(&crm).await.trouble, None);
    assert_eq!(
        check(&world, &server, "crm").await,
        Came {
            in_order: false,
            ..came(40)
        }
    );
}
