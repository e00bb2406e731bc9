//! A TCP proxy on 127.0.0.1: a network that stalls, is cut, and takes its time.
//!
//! ```ignore
//! let proxy = Proxy::to(sshd.port());
//! let settings = SftpSettings { port: proxy.port(), ..sshd.settings() };
//! proxy.stall();          // connections stay, nothing passes
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A running proxy. Dropping it closes all that passes through it.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stalled: AtomicBool,
    cut: AtomicUsize,
    over: AtomicBool,
    delay_ms: AtomicU64,
    /// Bytes a second, each way; 0 for no limit.
    rate: AtomicU64,
    /// Bytes the server may still send before the connection is cut; 0 for no limit.
    cut_after: AtomicU64,
    accepted: AtomicUsize,
}

impl Proxy {
    /// Forwards connections to a port on 127.0.0.1.
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let there = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if there.over.load(Ordering::SeqCst) {
                    return;
                }
                there.accepted.fetch_add(1, Ordering::SeqCst);
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", target))) else {
                    continue; // the client's end is dropped, and so closed
                };
                for (from, to, is_servers) in [(&client, &server, false), (&server, &client, true)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    forward(from, to, is_servers, there.clone());
                }
            }
        });
        Proxy { port, state }
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing pass any more; connections stay open.
    pub fn stall(&self) {
        self.state.stalled.store(true, Ordering::SeqCst);
    }

    /// Lets everything pass again, what was held back first.
    pub fn flow(&self) {
        self.state.stalled.store(false, Ordering::SeqCst);
    }

    /// Cuts every connection there is now.
    pub fn cut(&self) {
        self.state.cut.fetch_add(1, Ordering::SeqCst);
    }

    /// Cuts the next connection whose server has sent this many bytes.
    pub fn cut_after(&self, bytes: u64) {
        self.state.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Holds everything back this long, each way.
    pub fn delay(&self, each_way: Duration) {
        self.state.delay_ms.store(each_way.as_millis() as u64, Ordering::SeqCst);
    }

    /// Lets no more than this pass, each way; what is too much waits in a queue without end, as bad networks have it.
    pub fn rate(&self, bytes_per_second: u64) {
        self.state.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener, which then ends.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

/// One direction: a thread that reads, a thread that writes when it is time.
fn forward(mut from: TcpStream, mut to: TcpStream, is_servers: bool, state: Arc<State>) {
    let (pass, passed) = mpsc::sync_channel::<(Instant, Vec<u8>)>(10_000);
    let cut_at_start = state.cut.load(Ordering::SeqCst);
    let (reader_state, mut sent) = (state.clone(), 0);
    from.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    std::thread::spawn(move || {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if reader_state.cut.load(Ordering::SeqCst) != cut_at_start {
                break;
            }
            match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    sent += count as u64;
                    let limit = reader_state.cut_after.load(Ordering::SeqCst);
                    if is_servers && limit != 0 && sent >= limit {
                        reader_state.cut_after.store(0, Ordering::SeqCst);
                        break;
                    }
                    let delay = Duration::from_millis(reader_state.delay_ms.load(Ordering::SeqCst));
                    if pass.send((Instant::now() + delay, chunk[..count].to_vec())).is_err() {
                        break;
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => break,
            }
        }
        from.shutdown(Shutdown::Both).ok();
    });
    std::thread::spawn(move || {
        for (at, bytes) in passed {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            while state.stalled.load(Ordering::SeqCst) && state.cut.load(Ordering::SeqCst) == cut_at_start {
                std::thread::sleep(Duration::from_millis(5));
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
            let rate = state.rate.load(Ordering::SeqCst);
            if rate != 0 {
                std::thread::sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64));
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}
