//! Events that lack the address by which alone Bento knows people: who was heard of before is looked up, who is heard of later
//! is waited for; and the order of the vendor's pages, user feed first or late.

use feedgate::config::resolve::{DestinationSettings, KeepPeople, Start};
use feedgate::ledger::{DestinationState, Whom};
use serde_json::{Value, json};

use super::Feed::{Events, Users};
use super::*;
use crate::bento;
use crate::house::http_server::{HttpServer, Request, Script};

/// A state directory where people are kept, and a Bento that takes everything.
struct House {
    world: World,
    server: HttpServer,
    bento: DestinationSettings,
    imports: usize,
}

impl House {
    async fn new() -> House {
        let (world, server) = (World::new(), HttpServer::start());
        server.answer_with(|request| Script::ok(json!({"results": events(request).len(), "failed": 0})));
        world.ledger.keep_people(KeepPeople::Always).await.expect("the ledger");
        let bento = DestinationSettings {
            start: Start::Oldest,
            ..bento::destination(bento::settings(&server))
        };
        House {
            world,
            server,
            bento,
            imports: 0,
        }
    }

    async fn import(&mut self, feed: Feed<'_>) {
        import(&self.world, self.imports, feed).await;
        self.imports += 1;
    }

    async fn read(&self) {
        read(&self.world).await;
    }

    /// Delivers what there is, and returns who was sent what Bento got: address and unit.
    async fn deliver(&self) -> Vec<String> {
        let before = self.server.stored().len();
        let outcome = self.world.deliver(&self.bento).await;
        assert_eq!(outcome.trouble, None);
        self.server.stored()[before..].iter().flat_map(to_whom).collect()
    }

    fn held(&self) -> usize {
        let letters = self.world.letters("bento");
        assert!(letters.iter().all(|letter| letter.kind == "held"), "{letters:#?}");
        letters.len()
    }
}

fn events(request: &Request) -> Vec<Value> {
    request.json()["events"].as_array().expect("events").clone()
}

fn to_whom(request: &Request) -> Vec<String> {
    let whom = |event: &Value| {
        let unit = event["fields"]["business_unit"].as_str().unwrap_or("-").to_owned();
        format!("{} {unit}", event["email"].as_str().expect("an address"))
    };
    events(request).iter().map(whom).collect()
}

#[tokio::test]
async fn the_address_is_known_from_before() {
    let mut house = House::new().await;
    house.import(Events(&["u1 Ada@x.de DE", "u2 bob@x.de -"])).await;
    house.import(Events(&["u1 - -", "u2 - -", "u1 other@x.de AT"])).await;
    house.read().await;
    let sent = house.deliver().await;
    assert_eq!(
        sent,
        [
            "Ada@x.de DE",
            "bob@x.de -",
            "Ada@x.de DE",
            "bob@x.de -",
            "other@x.de AT"
        ],
        "what an entry says itself is not overruled"
    );
    assert_eq!(house.held(), 0);
}

/// The user feed runs first: the event finds the user that the lead became.
#[tokio::test]
async fn the_user_feed_runs_first() {
    let mut house = House::new().await;
    house.import(Events(&["- ada@x.de DE"])).await;
    house.import(Users(&["u1 ada@x.de DE"])).await;
    house.import(Events(&["u1 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["ada@x.de DE", "ada@x.de DE"]);
    assert_eq!(
        table(&house.world.path("ledger.db")),
        ["u1 ada@x.de DE 1.0 3.0 upgraded 2.0"]
    );
}

/// The user feed runs late: the event made somebody of its own, whose address nobody knows, and waits. The record brings the two
/// together, and the event goes by itself.
#[tokio::test]
async fn the_user_feed_runs_late() {
    let mut house = House::new().await;
    house.import(Events(&["- ada@x.de DE"])).await;
    house.import(Events(&["u1 - -", "u2 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    assert_eq!(house.held(), 2);
    let ledger = house.world.path("ledger.db");
    assert_eq!(
        table(&ledger),
        ["u1 - - 2.0 2.0", "u2 - - 2.1 2.1", "- ada@x.de DE 1.0 1.0"],
        "doubles"
    );

    house.import(Users(&["u1 ada@x.de DE"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    assert_eq!(house.held(), 1, "nobody knows the other's address");
    assert_eq!(
        table(&ledger),
        ["u1 ada@x.de DE 1.0 3.0 upgraded 3.0 merged", "u2 - - 2.1 2.1"]
    );
    house.import(Events(&["u2 bob@x.de -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["bob@x.de -", "bob@x.de -"]);
    assert_eq!(house.held(), 0);
}

#[tokio::test]
async fn the_delivery_does_not_overtake_the_reading() {
    let mut house = House::new().await;
    house.import(Events(&["u1 ada@x.de DE"])).await;
    house.read().await;
    house.import(Events(&["u1 - -"])).await;
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    let standing = house.world.row("bento").await.standing;
    assert_eq!(standing.state, DestinationState::Delivering);
    assert_eq!(
        standing.reason.as_deref(),
        Some("waiting until the people of what comes next have been read")
    );
    house.read().await;
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    assert_eq!(house.world.row("bento").await.standing.state, DestinationState::Idle);
}

/// A call whose answer was lost is made again as it was: to the address that was known then, and without the event that was
/// held then, though by now another address is known, and whom that one waits for.
#[tokio::test]
async fn what_was_in_flight_is_composed_again_as_it_was() {
    let mut house = House::new().await;
    house
        .import(Events(&["u1 old@x.de DE", "u1 - -", "u2 - -", "u1 - -"]))
        .await;
    house.read().await;
    house.server.next(Script::CutAfter);
    assert!(house.world.deliver(&house.bento).await.trouble.is_some());
    house.import(Users(&["u1 new@x.de DE", "u2 bob@x.de DE"])).await;
    house.read().await;
    assert_eq!(
        house.deliver().await,
        ["old@x.de DE", "old@x.de DE", "old@x.de DE", "bob@x.de DE"]
    );
    let stored = house.server.stored();
    assert_eq!(stored[0].body, stored[1].body);
    house.import(Events(&["u1 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["new@x.de DE"]);
    assert_eq!(house.held(), 0);
}

/// After a restart with a call in flight, what comes after it still waits until its people have been read.
#[tokio::test]
async fn what_comes_after_a_call_in_flight_waits_for_the_reading_as_well() {
    let mut house = House::new().await;
    house.import(Events(&["u1 ada@x.de DE"])).await;
    house.read().await;
    house.server.next(Script::CutAfter);
    assert!(house.world.deliver(&house.bento).await.trouble.is_some());
    house.import(Users(&["u1 new@x.de DE"])).await;
    // So many that the ledger is not asked again before some of them are sent.
    for hour in 0..80 {
        let digits = format!("202603{:02}{:02}0000", 1 + hour / 24, hour % 24);
        let feed = super::json(&["u1 - -"]);
        house.world.import("acme", &digits, &feed).await;
    }
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    house.read().await;
    assert_eq!(house.deliver().await, ["new@x.de DE"; 80]);
}

/// Likewise for letters: what was looked up for them is sent again.
#[tokio::test]
async fn letters_in_flight_are_composed_again_as_they_were() {
    let mut house = House::new().await;
    house.import(Events(&["u1 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, [""; 0]);
    house.import(Users(&["u1 old@x.de DE"])).await;
    house.read().await;
    house.server.next(Script::CutAfter);
    assert!(house.world.deliver(&house.bento).await.trouble.is_some());
    house.import(Users(&["u1 new@x.de DE"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, ["old@x.de DE"]);
    let stored = house.server.stored();
    assert_eq!((stored.len(), &stored[0].body), (2, &stored[1].body));
    assert_eq!(house.held(), 0);
}

/// Whoever is erased is in no call that is composed again, where it is only known by the look-up that an entry is theirs.
#[tokio::test]
async fn what_was_looked_up_for_a_call_in_flight_is_forgotten_with_the_person() {
    let mut house = House::new().await;
    house.import(Events(&["u1 ada@x.de DE", "u2 bob@x.de -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await.len(), 2);
    house.import(Events(&["u1 - -", "u2 - -"])).await;
    house.read().await;
    house.server.next(Script::CutAfter);
    assert!(house.world.deliver(&house.bento).await.trouble.is_some());
    let ada = Whom::by_address("ada@x.de", "DE");
    house.world.ledger.erase(ada, 0).await.expect("asked");
    let flight = house.world.ledger.flight("bento").await.expect("the ledger");
    let looked_up = flight.expect("a call").looked_up;
    assert_eq!(looked_up.keys().collect::<Vec<_>>(), ["id u2"]);
    assert_eq!(house.deliver().await, ["bob@x.de -"]);
    assert_eq!(house.held(), 1, "whose address nobody knows any more");
}

/// An erasure that is still under way is of what was imported before it.
#[tokio::test]
async fn whoever_comes_after_an_erasure_stays() {
    let mut house = House::new().await;
    house.import(Events(&["u1 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, [""; 0]);
    assert_eq!(house.held(), 1);
    let ledger = house.world.ledger.clone();
    ledger.erase(Whom::by_id("u1"), 0).await.expect("asked");
    assert_eq!(house.held(), 0);
    house.import(Events(&["u1 - -"])).await;
    house.read().await;
    assert_eq!(house.deliver().await, [""; 0]);
    assert_eq!(house.held(), 1);
    let erasure = ledger.next_erasure().await.expect("the ledger").expect("one");
    ledger.cleared(erasure, 0).await.expect("cleared");
    assert_eq!(house.held(), 1);
    let path = house.world.path("ledger.db");
    assert_eq!(table(&path), ["u1 - - 3.0 3.0"]);
    counts_are_right(&path);
}

/// Somebody comes to be known after the delivery looked, and before the letter is written: it does not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn known_between_the_look_and_the_letter() {
    let mut house = House::new().await;
    house.import(Events(&["u1 - -", "v a@x.de DE"])).await;
    house.read().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (come, came) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    house.server.answer_with(move |request| {
        // Until somebody says so; from then on at once.
        come.send(()).ok();
        wait.lock().expect("one at a time").recv().ok();
        Script::ok(json!({"results": events(request).len(), "failed": 0}))
    });
    let running = house.world.start(&house.bento);
    came.recv().expect("the first call");
    house.import(Users(&["u1 ada@x.de DE"])).await;
    house.read().await;
    drop(go);
    house.world.until("bento", |row| row.delivered == 2).await;
    running.stop().await;
    assert_eq!(house.held(), 0);
}

#[tokio::test]
async fn where_people_are_not_kept_nobody_is_looked_up_or_waited_for() {
    let mut house = House::new().await;
    house.import(Events(&["u1 ada@x.de DE"])).await;
    house.read().await;
    house
        .world
        .ledger
        .keep_people(KeepPeople::Never)
        .await
        .expect("the ledger");
    house.import(Events(&["u1 - -", "v bob@x.de -"])).await;
    assert_eq!(house.deliver().await, ["ada@x.de DE", "bob@x.de -"]);
    assert_eq!(house.held(), 1);
    // Kept from now on: what was held before is tried once, and then knows whom it waits for.
    house
        .world
        .ledger
        .keep_people(KeepPeople::Always)
        .await
        .expect("the ledger");
    house.read().await;
    assert_eq!(house.deliver().await, ["ada@x.de DE"]);
    assert_eq!(house.held(), 0);
}

/// While people are kept, the spool holds what they have not been read from.
#[tokio::test]
async fn the_spool_holds_what_was_not_read() {
    let mut house = House::new().await;
    house.import(Events(&["u1 ada@x.de DE"])).await;
    let retention = feedgate::ledger::retention::Retention {
        keep: std::time::Duration::ZERO,
        lag_max: std::time::Duration::from_secs(1_000_000),
        lag_bytes_max: None,
    };
    let prune = async || {
        let now = house.world.time.now() + 60_000;
        let pruning = house.world.ledger.pruning(retention, now).await.expect("the ledger");
        house.world.ledger.prune(pruning).await.expect("the ledger").files.len()
    };
    assert_eq!(prune().await, 0);
    house.read().await;
    assert_eq!(prune().await, 1);
}
