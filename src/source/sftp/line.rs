//! What the verbs and the pump both know of one connection: its socket, whether it is over and why, and how much room
//! there is on it.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::window::Window;

/// Bytes that fetches may have asked for and not yet handed on, in KiB. This and [`READ_KIB_MAX`] together stay under the
/// channel's window ([`super::connect::WINDOW`]), and under what the process may keep in memory.
const FETCH_KIB_MAX: usize = 6 * 1024;

/// Bytes that small reads may have asked for, in KiB. Their own: a fetch whose receiver has stopped must not stop them.
const READ_KIB_MAX: usize = 4 * 1024;

/// Requests in flight, beside the reads of fetches. A small file takes about ten, from its first look to its rename: at 20 ms
/// of round trip 1,024 carry 5,000 files a second.
const REQUESTS: usize = 1024;

/// Handles open at a time where the server does not tell its limit.
const HANDLES_UNTOLD: usize = 64;

/// Handles open at a time at most. OpenSSH allows about a thousand; each is a file descriptor of the server's. A small file and
/// its receipt have one each, for three round trips: at 20 ms the half of 768 carries 3,200 of both a second.
const HANDLES_MAX: usize = 768;

/// Longest that a call of libssh2 may take. It never waits here, but it reads until there is no more, and from a server that
/// sends faster than we take there is always more. What is in flight of ours takes a tenth of a second.
const CALL_MAX: Duration = Duration::from_secs(5);

/// How much may be in flight. Permits are taken by the verbs and given back when the answer is consumed.
#[derive(Debug)]
pub(super) struct Room {
    /// Requests, by count.
    pub requests: Arc<Semaphore>,
    /// Bytes of fetches.
    pub fetch_bytes: Arc<Window>,
    /// Bytes of small reads.
    pub read_bytes: Arc<Window>,
    /// Files that fetches have open.
    pub fetch_handles: Arc<Semaphore>,
    /// Everything else that is open: small reads, listings, writes.
    pub handles: Arc<Semaphore>,
}

impl Room {
    /// Room on a connection whose server has not told its limits.
    pub fn new(timeout: Duration) -> Room {
        Room {
            requests: Arc::new(Semaphore::new(REQUESTS)),
            fetch_bytes: Window::new(FETCH_KIB_MAX, timeout),
            read_bytes: Window::new(READ_KIB_MAX, timeout),
            fetch_handles: Arc::new(Semaphore::new(HANDLES_UNTOLD / 2)),
            handles: Arc::new(Semaphore::new(HANDLES_UNTOLD / 2)),
        }
    }

    /// Makes the room for handles what the server told; 0 means that it has no limit. Before anything is open.
    pub fn told_handles(&self, told: u64) {
        let told = if told == 0 {
            HANDLES_MAX
        } else {
            usize::try_from(told).unwrap_or(HANDLES_MAX)
        };
        // An eighth is left alone: closing takes a moment longer than we think. Each half has at least one.
        let half = (told - told / 8).clamp(2, HANDLES_MAX) / 2;
        for room in [&self.fetch_handles, &self.handles] {
            room.forget_permits(room.available_permits().saturating_sub(half));
            room.add_permits(half.saturating_sub(room.available_permits()));
        }
    }

    fn close(&self) {
        self.fetch_bytes.close();
        self.read_bytes.close();
        for room in [&self.requests, &self.fetch_handles, &self.handles] {
            room.close();
        }
    }
}

/// One connection, as both sides see it.
#[derive(Debug)]
pub(super) struct Line {
    /// The socket. libssh2 reads and writes it; here it is only waited for, and shut.
    pub tcp: Arc<TcpStream>,
    /// How much may be in flight.
    pub room: Room,
    ended: OnceLock<String>,
    /// Calls of libssh2 begun and come back from: odd inside one.
    calls: AtomicU64,
}

impl Line {
    /// A connection that is up.
    pub fn new(tcp: Arc<TcpStream>, room: Room) -> Line {
        Line {
            tcp,
            room,
            ended: OnceLock::new(),
            calls: AtomicU64::new(0),
        }
    }

    /// Makes a call of libssh2, so that [`Line::watch`] sees it.
    pub fn inside<T>(&self, call: impl FnOnce() -> T) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = call();
        self.calls.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// Ends the line if a call of libssh2 does not come back. To be called once.
    pub fn watch(self: &Arc<Line>) {
        let line = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut before = 0;
            loop {
                tokio::time::sleep(CALL_MAX).await;
                let Some(line) = line.upgrade().filter(|line| line.ended().is_none()) else {
                    return;
                };
                let now = line.calls.load(Ordering::Relaxed);
                if now == before && now % 2 == 1 {
                    line.end("the server sends without end what nobody asked for");
                }
                before = now;
            }
        });
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Ends it; the first reason given stays. The pump wakes from its sleep, finds the socket shut, and goes; verbs that
    /// wait for room wake too.
    pub fn end(&self, reason: impl Into<String>) {
        self.ended.get_or_init(|| reason.into());
        // Either side may have shut it before.
        drop(self.tcp.shutdown(Shutdown::Both));
        self.room.close();
    }
}
