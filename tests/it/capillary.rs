//! Capillary, as a scripted server plays it: what its webhook is sent, what becomes of each answer, and its definitions made like
//! ours. The real binary throughout.

mod answers; // what each answer comes to, and how it goes on
mod drafts; // definitions from a sample archive
mod kills; // SIGKILL at every request
mod push; // the vendor's definitions, made like ours
mod routes; // events by the actions of their definitions
mod sent; // what is sent

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::house::archives::Archive;
use crate::house::gate::Gate;
use crate::house::http_server::{HttpServer, Request, Script};

const MONDAY: &str = "20260202000000";
const TUESDAY: &str = "20260203000000";

/// A stay in a hotel, as the vendor's example has it; of customers by their `id`.
const BOOKING: &str = r#"{
    "eventName": "hotel_booking",
    "description": "A stay was booked",
    "actions": ["EMFConsumer", "EIConsumer"],
    "fields": [
        {"name": "customer", "type": "customer", "attributes": {
            "isRequired": {"value": "true", "valueType": "Boolean"},
            "identifierType": {"value": "externalId", "valueType": "Enum"}}},
        {"name": "booking_id", "type": "string", "attributes": {
            "isRequired": {"value": "true", "valueType": "Boolean"},
            "isUniqueKeyField": {"value": "true", "valueType": "Boolean"}}},
        {"name": "room_nights", "type": "integer", "attributes": {}},
        {"name": "age", "type": "double", "attributes": {
            "isPsiData": {"value": "true", "valueType": "Boolean"}}}
    ],
    "feed": {"event": "Hotel Booking", "fields": {"booking_id": "booking.id"}}
}"#;

/// A gate between a directory and a webhook.
struct World {
    gate: Gate,
    server: Arc<HttpServer>,
    root: PathBuf,
}

impl World {
    /// With a definition of stays, and a destination `loyalty` that begins with the oldest import.
    fn new() -> World {
        World::with("")
    }

    /// The same, with more keys of the destination.
    fn with(keys: &str) -> World {
        let mut gate = Gate::new();
        let server = Arc::new(HttpServer::start());
        server.always(queued("r-0"));
        let root = gate.dir().join("root");
        fs::create_dir(&root).expect("the root");
        gate.source_local("acme", &root);
        let url = format!("{}/hook?key=query-secret", server.url());
        gate.destination(
            "loyalty",
            &format!("type = \"capillary\"\nstart = \"oldest\"\nurl = \"{url}\"\n{keys}"),
        );
        let world = World { gate, server, root };
        world.define("booking", BOOKING);
        world
    }

    /// Writes a file of definitions.
    fn define(&self, name: &str, text: &str) {
        let dir = self.gate.dir().join("events");
        fs::create_dir_all(&dir).expect("the definitions' directory");
        fs::write(dir.join(format!("{name}.json")), text).expect("definitions");
    }

    fn send(&self, digits: &str, feed: &str) {
        let (name, bytes) = Archive::feed(digits, feed);
        let partial = self.root.join(format!("{name}.part"));
        fs::write(&partial, bytes).expect("an upload");
        fs::rename(partial, self.root.join(name)).expect("an upload");
    }

    /// `status --destination loyalty`.
    fn standing(&self) -> Value {
        self.gate.cli(["status", "--destination", "loyalty", "--json"]).json()
    }

    fn letters(&self) -> Vec<Value> {
        let letters = self.gate.cli(["dead-letters", "loyalty", "--json"]).json();
        letters.as_array().expect("an array").clone()
    }
}

/// So many stays: `B-0` of `u0` and so on.
fn stays(count: usize) -> String {
    let entries: Vec<String> = (0..count).map(stay).collect();
    format!("[{}]", entries.join(","))
}

fn stay(n: usize) -> String {
    format!(
        r#"{{"event":"Hotel Booking","id":"u{n}","timestamp":"2024-05-22T22:00:00Z","booking":{{"id":"B-{n}"}},"room_nights":2,"age":36.5}}"#
    )
}

/// The vendor's answer to what it takes.
fn queued(request: &str) -> Script {
    Script::json(&json!({
        "status": {"code": 1100, "message": "Event is pushed to transformation state"},
        "requestId": request,
    }))
}

/// An answer with a code, whose event is not kept.
fn code(status: u16, code: u64, message: &str) -> Script {
    let body = json!({"status": {"code": code, "message": message}}).to_string();
    Script::status(status).with_body(body).storing(false)
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// The stays that the server kept, in the order in which they came.
fn kept(server: &HttpServer) -> Vec<String> {
    let text = |request: &Request| body(request)["booking_id"].as_str().expect("a stay").to_owned();
    server.stored().iter().map(text).collect()
}
