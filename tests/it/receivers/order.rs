//! In which order events come, which ones, from where on, and what happens where there is a gap.

use std::fs;

use feedgate::config::resolve::Start;
use feedgate::ledger::DestinationState;

use super::{MONDAY, TUESDAY, came, check, feed};
use crate::house::http_server::{HttpServer, Script};
use crate::house::world::{World, http};

/// The digits of the n-th second of a day.
fn second(n: usize) -> String {
    format!("20260204{:02}{:02}{:02}", n / 3600, n / 60 % 60, n % 60)
}

#[tokio::test]
async fn many_small_imports_share_a_request_and_a_large_one_is_cut_into_many() {
    let world = World::new();
    let server = HttpServer::start();
    for n in 0..40 {
        world.import("acme", &second(n), &feed(1 + n % 4)).await;
    }
    world.import("acme", MONDAY, &feed(1_234)).await;
    world.import("other", MONDAY, &feed(3)).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 50;
    assert_eq!(world.deliver(&crm).await.delivered, 100 + 1_234 + 3);
    assert_eq!(check(&world, &server, "crm").await, came(1_337));
    let sizes: Vec<usize> = server.requests().iter().map(|request| request.events().len()).collect();
    assert!(
        sizes[..26].iter().all(|size| *size == 50) && sizes.len() == 27,
        "{sizes:?}"
    );
}

#[tokio::test]
async fn bytes_bound_a_request_too() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(500)).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 500;
    http(&mut crm).batch_bytes = 4_096;
    assert_eq!(world.deliver(&crm).await.delivered, 500);
    assert_eq!(check(&world, &server, "crm").await, came(500));
    let largest = server.requests().iter().map(|request| request.body.len()).max();
    assert!(
        largest.is_some_and(|bytes| (4_096..4_096 + 400).contains(&bytes)),
        "{largest:?}"
    );
}

#[tokio::test]
async fn only_what_is_wanted_under_the_names_that_are_wanted() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(9)).await;
    world.import("other", MONDAY, &feed(9)).await;
    world.import("acme", TUESDAY, &feed(2)).await;
    let mut crm = world.http("crm", &server);
    crm.events = vec!["e1".to_owned(), "e2".to_owned()];
    crm.sources = vec!["acme".to_owned()];
    crm.rename = vec![("e2".to_owned(), "Zwei".to_owned())];
    assert_eq!(world.deliver(&crm).await.delivered, 7);
    let events: Vec<String> = server
        .requests()
        .iter()
        .flat_map(|request| request.events())
        .map(|event| format!("{} {} {}", event["source"], event["event"], event["body"]["event"]))
        .collect();
    let pair = ["\"acme\" \"e1\" \"e1\"", "\"acme\" \"Zwei\" \"e2\""];
    assert_eq!(events, [pair[0], pair[1], pair[0], pair[1], pair[0], pair[1], pair[0]]);
}

#[tokio::test]
async fn what_nobody_wants_moves_the_cursor_all_the_same() {
    let world = World::new();
    let server = HttpServer::start();
    let mut crm = world.http("crm", &server);
    crm.events = vec!["unheard of".to_owned()];
    world.import("acme", MONDAY, &feed(3_000)).await;
    world.import("acme", TUESDAY, &feed(3)).await;
    assert_eq!(world.deliver(&crm).await.delivered, 0);
    assert_eq!(world.row("crm").await.cursor.seq, 3);
    let mut other = world.http("other", &server);
    other.sources = vec!["other".to_owned()];
    assert_eq!(world.deliver(&other).await.delivered, 0);
    assert_eq!(world.row("other").await.cursor.seq, 3);
    assert_eq!(server.accepted(), 0, "nobody was dialled for it");
}

#[tokio::test]
async fn a_destination_begins_where_it_was_told_to() {
    let world = World::new();
    let (now, oldest) = (HttpServer::start(), HttpServer::start());
    world.import("acme", MONDAY, &feed(4)).await;
    let mut late = world.http("late", &now);
    late.start = Start::Now;
    assert_eq!(world.deliver(&late).await.delivered, 0);
    world.import("acme", TUESDAY, &feed(5)).await;
    assert_eq!(world.deliver(&late).await.delivered, 5);
    assert_eq!(world.deliver(&world.http("early", &oldest)).await.delivered, 9);
    assert_eq!(check(&world, &oldest, "early").await, came(9));
    let archive = &now.requests()[0].events()[0]["archive"];
    assert!(
        archive.as_str().is_some_and(|archive| archive.contains(TUESDAY)),
        "{archive}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_down_holds_up_no_other() {
    let world = World::new();
    let (up, down) = (HttpServer::start(), HttpServer::start());
    world.import("acme", MONDAY, &feed(30)).await;
    down.always(Script::Stall { store: false });
    let slow = world.start(&world.http("slow", &down));
    down.wait_for_stalled(1);
    assert_eq!(world.deliver(&world.http("quick", &up)).await.delivered, 30);
    world.import("acme", TUESDAY, &feed(5)).await;
    assert_eq!(world.deliver(&world.http("quick", &up)).await.delivered, 5);
    assert_eq!(check(&world, &up, "quick").await, came(35));
    down.always(Script::ok("{}"));
    down.release();
    slow.nudge();
    world.everything_delivered("slow").await;
    slow.stop().await;
    // Released, it had taken the first ten without the harness noting it.
    let came_to_the_slow_one: usize = down.requests().iter().map(|request| request.events().len()).sum();
    assert_eq!((came_to_the_slow_one, world.row("slow").await.delivered), (35, 35));
}

#[tokio::test]
async fn ten_at_once() {
    let world = World::new();
    world.import("acme", MONDAY, &feed(55)).await;
    let servers: Vec<HttpServer> = (0..10).map(|_| HttpServer::start()).collect();
    let mut running = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        server.next(Script::ok("{}"));
        server.next([Script::CutAfter, Script::ok("{}"), Script::status(503)][n % 3].clone());
        running.push(world.start(&world.http(&format!("d{n}"), server)));
    }
    for n in 0..10 {
        world.everything_delivered(&format!("d{n}")).await;
    }
    for delivery in running {
        delivery.stop().await;
    }
    for (n, server) in servers.iter().enumerate() {
        let came = check(&world, server, &format!("d{n}")).await;
        let twice = if n % 3 == 0 { 10 } else { 0 };
        assert_eq!(
            (came.events, came.twice, came.resent, came.in_order),
            (55, twice, twice as u64, true),
            "{n}"
        );
    }
}

#[tokio::test]
async fn pruned_before_it_was_delivered() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(4)).await;
    let gone = world.import("acme", TUESDAY, &feed(5)).await;
    world.import("acme", &second(1), &feed(6)).await;
    world.tamper(&format!(
        "UPDATE imports SET spool_file = NULL, pruned_at = 1 WHERE id = {gone}"
    ));
    let crm = world.http("crm", &server);
    let outcome = world.deliver(&crm).await;
    assert_eq!(outcome.delivered, 4, "what lies before the gap arrives");
    let trouble = outcome.trouble.expect("a gap");
    assert!(
        trouble.contains(TUESDAY) && trouble.contains("feedgate retry --dead-letters crm"),
        "{trouble}"
    );
    assert_eq!(world.row("crm").await.standing.state, DestinationState::Behind);
    assert!(world.deliver(&crm).await.trouble.is_some(), "it stays behind");

    world.deliver_again("crm").await;
    let outcome = world.deliver(&crm).await;
    assert_eq!((outcome.delivered, outcome.trouble), (6, None));
    let sizes: Vec<usize> = server.stored().iter().map(|request| request.events().len()).collect();
    assert_eq!(sizes, [4, 6]);
}

#[tokio::test]
async fn a_damaged_spool_file_is_named_and_goes_on_when_it_is_mended() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(4)).await;
    world.import("acme", TUESDAY, &feed(50)).await;
    let path = world.spooled("acme", TUESDAY);
    let good = fs::read(&path).expect("the spool file");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle - 100..middle].fill(0xff);
    fs::write(&path, &bad).expect("damage");
    let crm = world.http("crm", &server);
    let outcome = world.deliver(&crm).await;
    let trouble = outcome.trouble.expect("damage");
    assert!(trouble.contains(TUESDAY), "{trouble}");
    assert!((4..54).contains(&outcome.delivered), "{}", outcome.delivered);

    fs::write(&path, &good).expect("mended");
    assert_eq!(world.deliver(&crm).await.trouble, None);
    assert_eq!(check(&world, &server, "crm").await, came(54));
}

#[tokio::test]
async fn what_is_imported_while_it_delivers_comes_too() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(3)).await;
    let running = world.start(&world.http("crm", &server));
    for n in 0..20 {
        world.import("acme", &second(n), &feed(7)).await;
        running.nudge();
    }
    world.everything_delivered("crm").await;
    running.stop().await;
    assert_eq!(check(&world, &server, "crm").await, came(143));
}
