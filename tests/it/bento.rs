//! Bento, as a scripted server plays it: the requests of Bento's own pages, every answer, and what its official client
//! sends for the same events.

mod answers; // what each answer comes to, and that no reason gives anything away
mod orders; // ten thousand of them, through faults and a restart
mod requests; // what is sent, against Bento's pages
mod sdk; // the official Node SDK

use std::time::Duration;

use feedgate::config::resolve::{
    BentoSettings, DestinationKind, DestinationSettings, Endpoint, Secret, Start, WithoutEmail,
};
use feedgate::destination::receiver::{Added, Receiver};
use feedgate::destination::{self, Opened};
use feedgate::events::{Event, EventId};

use crate::house::http_server::HttpServer;

const PUBLISHABLE_KEY: &str = "pub-3f1c9b7e";
const SECRET_KEY: &str = "sec-a81d02c4";
const SITE_UUID: &str = "5d7b-site";

/// Settings for a server that plays Bento.
pub(crate) fn settings(server: &HttpServer) -> BentoSettings {
    BentoSettings {
        endpoint: Endpoint {
            url: format!("{}/api/v1", server.url()),
            roots: None,
            timeout: Duration::from_secs(30),
        },
        site_uuid: SITE_UUID.to_owned(),
        publishable_key: Secret::new(PUBLISHABLE_KEY),
        secret_key: Secret::new(SECRET_KEY),
        batch_events: 100,
        batch_per_hour: 500,
        fetch_per_hour: 3600,
        burst: 10,
        without_email: WithoutEmail::Hold,
        currency: None,
        bypass_workflows: false,
        fields: Vec::new(),
        profile: Vec::new(),
        tags: Vec::new(),
        set_fields: Vec::new(),
    }
}

pub(crate) fn destination(settings: BentoSettings) -> DestinationSettings {
    DestinationSettings {
        name: "bento".to_owned(),
        kind: DestinationKind::Bento(Box::new(settings)),
        start: Start::Now,
        was: None,
        events: Vec::new(),
        sources: Vec::new(),
        actions: Vec::new(),
        rename: Vec::new(),
        dead_letters_max: 100,
    }
}

fn open(settings: BentoSettings) -> Box<dyn Receiver> {
    match destination::open(&destination(settings)) {
        Ok(Opened::Receiver(receiver)) => receiver,
        Ok(Opened::Store(_)) => panic!("a store"),
        Err(reply) => panic!("{reply:?}"),
    }
}

/// An event to make others of.
fn an_event() -> Event<'static> {
    Event {
        id: EventId {
            key: "c68720aed7be36d08e2daba7e95497bc",
            index: 0,
            item: 0,
        },
        import: 1,
        source: "acme",
        archive: "event_history_20191118170500.json.zip",
        index: 0,
        event: "Viewed Product",
        renamed: None,
        user_id: None,
        email: Some("jesse@example.com"),
        business_unit: None,
        at: 1_574_096_700_000,
        body: "{}",
    }
}

/// An entry of a feed as an event: its name and what it says.
fn entry<'a>(index: u64, event: &'a str, body: &'a str) -> Event<'a> {
    let id = EventId { index, ..an_event().id };
    Event {
        id,
        index,
        event,
        body,
        ..an_event()
    }
}

/// Fills a parcel.
fn add_all(receiver: &mut dyn Receiver, events: &[Event<'_>]) {
    for event in events {
        assert_eq!(receiver.add(event), Added::Taken, "{event:?}");
    }
}

/// Pairs of texts.
fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(one, other): &(&str, &str)| (one.to_string(), other.to_string());
    pairs.iter().map(owned).collect()
}
