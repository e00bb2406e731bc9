//! The `http` destination, call by call, against a real server: what it is sent, and what becomes of each answer.

mod answers; // what a status and a body mean
mod faults; // no answer, half of one, or too much of it
mod proxies; // by way of somebody else
mod requests; // what is sent
mod trust; // certificates, and secrets that stay secret

use std::time::Duration;

use feedgate::config::resolve::{
    DestinationKind, DestinationSettings, Endpoint, HttpCompression, HttpFormat, HttpSettings, Start,
};
use feedgate::destination::receiver::{Added, Answer, Call, Receiver};
use feedgate::destination::{Opened, Reply, open};
use feedgate::events::{Event, EventId};

/// What the ids of all events here begin with.
const KEY: &str = "c68720aed7be36d08e2daba7e95497bc";

/// Far more than any request here takes; only what is never answered waits for the end of a shorter one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings for an URL, with nothing special in them.
fn settings(url: &str) -> HttpSettings {
    HttpSettings {
        endpoint: Endpoint {
            url: format!("{url}/in?token=query-secret"),
            roots: None,
            timeout: PATIENCE,
        },
        headers: Vec::new(),
        authorization: None,
        signing_key: None,
        format: HttpFormat::Ndjson,
        compression: HttpCompression::None,
        batch_events: 1_000,
        batch_bytes: 1 << 20,
        statuses: Vec::new(),
    }
}

fn destination(http: HttpSettings) -> DestinationSettings {
    DestinationSettings {
        name: "hook".to_owned(),
        kind: DestinationKind::Http(Box::new(http)),
        start: Start::Now,
        was: None,
        events: Vec::new(),
        sources: Vec::new(),
        actions: Vec::new(),
        rename: Vec::new(),
        dead_letters_max: 100_000,
    }
}

fn opened(http: HttpSettings) -> Box<dyn Receiver> {
    match open(&destination(http)) {
        Ok(Opened::Receiver(receiver)) => receiver,
        Ok(Opened::Store(_)) => panic!("a store"),
        Err(reply) => panic!("{reply:?}"),
    }
}

fn checked(http: HttpSettings) -> Result<(), Reply> {
    feedgate::destination::check(&destination(http))
}

/// An event with this index and body.
fn event(index: u64, body: &str) -> Event<'_> {
    Event {
        id: EventId {
            key: KEY,
            index,
            item: 0,
        },
        import: 7,
        source: "acme",
        archive: "event_history_20191118170500.json.zip",
        index,
        event: "Completed Order",
        renamed: None,
        user_id: Some("u1"),
        email: None,
        business_unit: None,
        at: 1_574_096_700_007,
        body,
    }
}

fn id(index: usize) -> String {
    format!("{KEY}-{index}")
}

/// Puts so many small events into the parcel.
fn fill(receiver: &mut dyn Receiver, count: u64) {
    receiver.clear();
    for index in 0..count {
        assert_eq!(receiver.add(&event(index, r#"{"id":"u1"}"#)), Added::Taken);
    }
}

/// Three small events, posted in one call.
fn post_three(receiver: &mut dyn Receiver) -> Answer {
    fill(receiver, 3);
    receiver.make(&Call::Parcel(0..3))
}

/// The reason in an answer.
fn reason(answer: &Answer) -> &str {
    match answer {
        Answer::Unidentified { reason, .. }
        | Answer::Refused { reason }
        | Answer::TooLarge { reason }
        | Answer::Unavailable { reason, .. }
        | Answer::Unanswered { reason }
        | Answer::Unclear { reason }
        | Answer::Barred { reason } => reason,
        Answer::Delivered | Answer::Verdicts(_) => panic!("no reason: {answer:?}"),
    }
}

/// The kind of an answer, without what it says.
fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Delivered => "delivered",
        Answer::Verdicts(_) => "verdicts",
        Answer::Unidentified { .. } => "unidentified",
        Answer::Refused { .. } => "refused",
        Answer::TooLarge { .. } => "too large",
        Answer::Unavailable { .. } => "unavailable",
        Answer::Unanswered { .. } => "unanswered",
        Answer::Unclear { .. } => "unclear",
        Answer::Barred { .. } => "barred",
    }
}
