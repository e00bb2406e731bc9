//! Deliveries: how many events a second leave, beside what importing them takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, Contender};
use crate::big::{MILLION, told};
use crate::table::{Goal, Row};

/// A million events from a local directory to each kind of destination that can be had without anybody else's service.
pub fn deliveries(bench: &Bench) -> Result<Vec<Row>> {
    let entries = bench.many(MILLION);
    let archive = bench.archive(entries)?;
    let sink = Sink::open()?;
    let once = |more: &str| {
        let source = format!("{}receipts = false\n", bench.local(&archive)?);
        let feedgate = bench.feedgate(&source, more)?;
        let cost = feedgate.once()?;
        feedgate.imported(1, entries)?;
        if !more.is_empty() {
            let (delivered, _) = feedgate.ask("SELECT delivered, 0 FROM destinations")?;
            ensure!(delivered == entries, "{delivered} of {entries} events were delivered");
        }
        Ok(cost)
    };
    let destination = |keys: &str| format!("[[destination]]\nname = \"events\"\n{keys}\n");
    let http = destination(&format!(
        "type = \"http\"\nstart = \"oldest\"\nurl = \"http://127.0.0.1:{}/\"",
        sink.port
    ));
    let [alone, ndjson, parquet, http] = bench.race([
        Contender::ours("once, local", || once("")),
        Contender::ours("once, local, NDJSON", || once(&destination("type = \"file\""))),
        Contender::ours("once, local, Parquet", || {
            once(&destination("type = \"file\"\nformat = \"parquet\""))
        }),
        Contender::ours("once, local, http", || {
            sink.lines.store(0, Ordering::SeqCst);
            let cost = once(&http)?;
            let lines = sink.lines.load(Ordering::SeqCst);
            ensure!(lines == entries, "{lines} of {entries} events arrived");
            Ok(cost)
        }),
    ]);
    let row = |what: &str, ours| Row {
        what: format!("`once`: {} from a local directory to {what}", told(entries)),
        ours,
        against: Some(("the import alone".to_string(), alone.clone(), 1.0)),
        goal: Goal::Beyond(entries),
    };
    Ok(vec![
        row("`file`, NDJSON, zstd 3", ndjson),
        row("`file`, Parquet, zstd 3", parquet),
        row("`http`, 1,000 a batch, answered at once", http),
    ])
}

/// Takes whatever is posted to it, and counts lines.
struct Sink {
    port: u16,
    lines: Arc<AtomicUsize>,
}

impl Sink {
    fn open() -> Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0").context("opening a port for the sink")?;
        let port = listener.local_addr()?.port();
        let lines = Arc::new(AtomicUsize::new(0));
        let counted = lines.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counted = counted.clone();
                // A connection that breaks is missed by who counts.
                thread::spawn(move || take(&client, &counted).ok());
            }
        });
        Ok(Sink { port, lines })
    }
}

/// Answers requests on a connection until it is closed.
fn take(mut client: &TcpStream, lines: &AtomicUsize) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut from = BufReader::with_capacity(256 * 1024, client);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        let mut line = String::new();
        while from.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            line.clear();
        }
        body.resize(length, 0);
        from.read_exact(&mut body)?;
        lines.fetch_add(bytecount::count(&body, b'\n'), Ordering::SeqCst);
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        if from.fill_buf()?.is_empty() {
            return Ok(());
        }
    }
}
