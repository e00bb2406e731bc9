//! Many, large and strange ones.

use feedgate::config::resolve::{HttpCompression, HttpFormat};
use serde_json::Value;

use super::{Came, MONDAY, TUESDAY, came, check, feed};
use crate::house::http_server::{HttpServer, Script};
use crate::house::world::{World, http};

#[tokio::test]
async fn entries_of_many_megabytes_each_by_itself() {
    let world = World::new();
    let server = HttpServer::start();
    let text = "y".repeat(15 << 20);
    let entries = [0, 1, 2].map(|n| format!(r#"{{"event":"e","id":"u{n}","text":"{text}"}}"#));
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    world.import("acme", TUESDAY, &feed(3)).await;
    let mut crm = world.http("crm", &server);
    http(&mut crm).compression = HttpCompression::Zstd(1);
    server.next(Script::ok("{}"));
    server.next(Script::CutInBody);
    assert!(world.deliver(&crm).await.trouble.is_some());
    assert_eq!(world.deliver(&crm).await.trouble, None);
    let resent = Came { resent: 1, ..came(6) };
    assert_eq!(check(&world, &server, "crm").await, resent);
    let sizes: Vec<usize> = server.stored().iter().map(|request| request.events().len()).collect();
    assert_eq!(sizes, [1, 1, 1, 3]);
}

#[tokio::test]
async fn names_and_texts_of_every_kind() {
    let world = World::new();
    let server = HttpServer::start();
    let names = [
        "Käufe 😀",
        "\\u202eevil",
        "a\\nb\\r\\nX-Header: 1",
        "\\\"}{][",
        "\\u0000",
        "\\\\",
        "名前",
        "]",
    ];
    let entries: Vec<String> = names
        .iter()
        .map(|name| format!("{{\"event\":\"{name}\",\n\t\"id\":\"u\", \"n\": 1.50e+3 ,\"deep\":[[[[{{}}]]]]}}"))
        .collect();
    world.import("acme", MONDAY, &format!("[{}]", entries.join(","))).await;
    let accepted = world.accepted().await;
    for (n, format) in [HttpFormat::Ndjson, HttpFormat::Array].into_iter().enumerate() {
        let name = format!("crm{n}");
        let mut crm = world.http(&name, &server);
        http(&mut crm).format = format;
        server.forget();
        assert_eq!(world.deliver(&crm).await.delivered as usize, accepted.len());
        assert_eq!(check(&world, &server, &name).await, came(accepted.len()));
        let names: Vec<Value> = server.requests()[0]
            .events()
            .iter()
            .map(|event| event["event"].clone())
            .collect();
        let expected: Vec<Value> = accepted.iter().map(|event| event["event"].clone()).collect();
        assert_eq!(names, expected);
        assert!(
            server.requests()[0].text().contains("1.50e+3"),
            "numbers stay as they were given"
        );
    }
}

#[tokio::test]
async fn thousands_of_imports_of_one_event_each() {
    let world = World::new();
    let server = HttpServer::start();
    world.import("acme", MONDAY, &feed(1)).await;
    // The ledger and the spool have the same one again and again, under other names: taking in each would only take time.
    world.tamper(
        "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
         INSERT INTO imports (seq, source, archive, named_at, size, mtime, sha256, data_sha256, data_bytes, status, imported,
            onward, entries, accepted, rejected, reading, spool_file, spool_offset, spool_len, first_seen_at, claimed_at, imported_at,
            closed_at, path)
         SELECT n, source, 'event_history_' || (20260300000000 + n) || '.json.zip', named_at, size, mtime, sha256, data_sha256,
            data_bytes, status, imported, onward, entries, accepted, rejected, reading, spool_file, spool_offset, spool_len,
            first_seen_at, claimed_at, imported_at, closed_at, path FROM imports, n",
    );
    let mut crm = world.http("crm", &server);
    http(&mut crm).batch_events = 1_000;
    server.next(Script::ok("{}"));
    server.next(Script::CutAfter);
    assert!(world.deliver(&crm).await.trouble.is_some());
    assert_eq!(world.deliver(&crm).await.trouble, None);
    let came = check(&world, &server, "crm").await;
    assert_eq!((came.events, came.letters, came.in_order), (10_000, 0, true));
    assert_eq!(came.twice as u64, came.resent);
    let calls = server.requests().len();
    assert!(calls <= 10_000 / 64 + 3, "{calls} calls");
}
