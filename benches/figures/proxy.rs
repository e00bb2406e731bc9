//! A long line: a TCP proxy on 127.0.0.1 that passes everything on half a round trip later, each way.
//!
//! No loss, no limit on the rate, and as much on the way as there is: what a link costs here is its length alone. It runs in this
//! process, so that its CPU time is counted to nobody, and is the same for all that is compared.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A proxy, until it is dropped.
pub struct Proxy {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Proxy {
    /// Forwards to a port on 127.0.0.1, with that round-trip time.
    pub fn new(target: u16, round_trip: Duration) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").context("opening a port for the proxy")?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that cannot be made is closed, and the client says so.
                client.and_then(|client| connect(client, target, round_trip / 2)).ok();
            }
        });
        Ok(Proxy { port, over })
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then ends.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn connect(client: TcpStream, target: u16, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    forward(client.try_clone()?, server.try_clone()?, delay);
    forward(server, client, delay);
    Ok(())
}

/// One direction: a thread that notes when bytes came, and a thread that passes them on when it is time.
fn forward(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (pass, passed) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut chunk = vec![0; 256 * 1024];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if pass.send((Instant::now() + delay, chunk[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in passed {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // Gone already is fine.
        to.shutdown(Shutdown::Both).ok();
    });
}
