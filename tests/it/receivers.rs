//! Deliveries to a server that is slow, cuts, lies, refuses and goes away; and what it kept, held against what was accepted.
//!
//! The server is a real one, on loopback, and does with each request as the test says. What counts is what it *stored*: each
//! accepted event is there, or is a dead letter; twice only where an answer was lost, and then in the same request, under
//! the same `Idempotency-Key`.

mod crash_walk; // stopped at every request, before and after
mod faults; // one request goes wrong, in every way there is
mod kills; // the real binary: SIGKILL at every request, and a polite end in mid-request
mod large; // many, large and strange ones
mod letters; // dead letters, delivered again
mod log; // what was said
mod order; // order, cursors, filters, gaps
mod patience; // waiting as long as it takes and no longer, over simulated hours
mod refusals; // events that are refused, and the search for them

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::house::http_server::{HttpServer, Request, Script};
use crate::house::world::World;

const MONDAY: &str = "20260202000000";
const TUESDAY: &str = "20260203000000";

/// So many entries: `{"event":"e0","id":"u0","n":0}` and so on, with three names of events in turn.
fn feed(count: usize) -> String {
    feed_with(count, &[])
}

/// Likewise; those of these numbers are marked, for servers that refuse such.
fn feed_with(count: usize, marked: &[usize]) -> String {
    let entries: Vec<String> = (0..count)
        .map(|n| {
            let mark = if marked.contains(&n) { r#","bad":true"# } else { "" };
            format!(r#"{{"event":"e{}","id":"u{n}","n":{n}{mark}}}"#, n % 3)
        })
        .collect();
    format!("[{}]", entries.join(","))
}

/// Refuses every request that has a marked event in it.
fn refuse_marked(request: &Request) -> Script {
    match request.events().iter().any(is_marked) {
        true => Script::status(422).with_body("bad is not wanted here"),
        false => Script::ok("{}"),
    }
}

fn is_marked(event: &Value) -> bool {
    event["body"]["bad"] == true
}

/// What came of it all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Came {
    /// Events that the server kept, each counted once.
    events: usize,
    /// Of these, those that it was given twice.
    twice: usize,
    /// Dead letters.
    letters: usize,
    /// Events the ledger says were sent again since no answer had come.
    resent: u64,
    /// Whether they came in the order in which they were accepted.
    in_order: bool,
}

/// Everything came, once, in order.
fn came(events: usize) -> Came {
    Came {
        events,
        twice: 0,
        letters: 0,
        resent: 0,
        in_order: true,
    }
}

/// Holds what a server kept against what was accepted, in a world of this process.
async fn check(world: &World, server: &HttpServer, name: &str) -> Came {
    let letters: BTreeSet<String> = world.letters(name).into_iter().map(|letter| letter.event_id).collect();
    hold(&world.accepted().await, &letters, &server.stored(), world.resent(name))
}

/// Holds what a server kept against what was accepted: nothing is missing but what is a dead letter, nothing is there that
/// was not accepted, what is there twice came both times in the same request. Returns the counts.
fn hold(accepted: &[Value], letters: &BTreeSet<String>, stored: &[Request], resent: u64) -> Came {
    let kept = kept(stored);
    for event in accepted {
        let (id, body) = (id(event), &event["body"]);
        match (kept.bodies.get(&id), letters.contains(&id)) {
            (Some(kept), false) => assert_eq!(kept, body, "{id}"),
            (None, true) => {}
            (Some(_), true) => panic!("{id} was kept, and is a dead letter: {body}"),
            (None, false) => panic!("{id} is lost: {body}"),
        }
    }
    let known = kept.bodies.len() + letters.len();
    assert_eq!(known, accepted.len(), "nothing comes from nowhere");
    let mut expected = accepted.iter().map(id);
    let in_order = kept.order.iter().all(|id| expected.any(|expected| expected == *id));
    Came {
        events: kept.bodies.len(),
        twice: kept.twice,
        letters: letters.len(),
        resent,
        in_order,
    }
}

/// What a server kept.
struct Kept {
    bodies: BTreeMap<String, Value>,
    /// Ids, as they came first.
    order: Vec<String>,
    twice: usize,
}

fn kept(stored: &[Request]) -> Kept {
    let mut kept = Kept {
        bodies: BTreeMap::new(),
        order: Vec::new(),
        twice: 0,
    };
    let mut by_key: HashMap<&str, Vec<String>> = HashMap::new();
    for request in stored {
        let events = request.events();
        let ids: Vec<String> = events.iter().map(id).collect();
        let key = request.header("idempotency-key").expect("a key");
        if let Some(before) = by_key.get(key) {
            assert_eq!(before, &ids, "the same key for other events");
            kept.twice += ids.len();
            continue;
        }
        for event in &events {
            let id = id(event);
            let is_new = kept.bodies.insert(id.clone(), event["body"].clone()).is_none();
            assert!(is_new, "{id} came again under another key: {stored:#?}");
            kept.order.push(id);
        }
        by_key.insert(key, ids);
    }
    kept
}

fn id(event: &Value) -> String {
    event["id"].as_str().expect("an id").to_owned()
}
