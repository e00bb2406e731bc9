//! What the verbs and the pump both know of one connection: its socket, whether it is over and why, and how much room
//! there is on it.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::handles::Handles;
use super::lessons::Lessons;
use super::window::Window;

/// Bytes that fetches may have asked for and not yet handed on, in KiB. This and [`READ_KIB_MAX`] together stay under the
/// channel's window ([`super::connect::WINDOW`]), and under what the process may keep in memory.
const FETCH_KIB_MAX: usize = 6 * 1024;

/// Bytes that small reads may have asked for, in KiB. Their own: a fetch whose receiver has stopped must not stop them.
const READ_KIB_MAX: usize = 4 * 1024;

/// Longest that a call of libssh2 may take, unless the deadline is longer. It never waits here, but it reads until there is no more, and from a server that
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
    /// What is open.
    pub handles: Handles,
}

impl Room {
    /// Room on a connection whose server has not told its limits, as far as earlier connections have taught them.
    pub fn new(lessons: &Lessons, timeout: Duration) -> Room {
        Room {
            requests: Arc::new(Semaphore::new(lessons.requests_max())),
            fetch_bytes: Window::new(FETCH_KIB_MAX, timeout),
            read_bytes: Window::new(READ_KIB_MAX, timeout),
            handles: Handles::new(lessons.handles_max(), lessons.requests_max()),
        }
    }

    fn close(&self) {
        self.fetch_bytes.close();
        self.read_bytes.close();
        self.requests.close();
        self.handles.close();
    }
}

/// One connection, as both sides see it.
#[derive(Debug)]
pub(super) struct Line {
    /// The socket. libssh2 reads and writes it; here it is only waited for, and shut.
    pub tcp: Arc<TcpStream>,
    /// How much may be in flight.
    pub room: Room,
    /// When it came up.
    pub begun: Instant,
    /// Requests on the wire that are not answered yet. The pump counts.
    pub unanswered: AtomicUsize,
    ended: OnceLock<Ended>,
    /// Calls of libssh2 begun and come back from: odd inside one.
    calls: AtomicU64,
}

/// How a connection came to its end.
#[derive(Debug)]
struct Ended {
    reason: String,
    unanswered: usize,
}

impl Line {
    /// A connection that is up.
    pub fn new(tcp: Arc<TcpStream>, room: Room) -> Line {
        Line {
            tcp,
            room,
            begun: Instant::now(),
            unanswered: AtomicUsize::new(0),
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
    pub fn watch(self: &Arc<Line>, timeout: Duration) {
        let line = Arc::downgrade(self);
        let call_max = CALL_MAX.max(timeout);
        tokio::spawn(async move {
            let mut before = 0;
            loop {
                tokio::time::sleep(call_max).await;
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
        self.ended.get().map(|ended| ended.reason.as_str())
    }

    /// How many requests were open when it ended; none while it has not.
    pub fn unanswered_at_end(&self) -> usize {
        self.ended.get().map_or(0, |ended| ended.unanswered)
    }

    /// Ends it; the first reason given stays. The pump wakes from its sleep, finds the socket shut, and goes; verbs that
    /// wait for room wake too.
    pub fn end(&self, reason: impl Into<String>) {
        self.ended.get_or_init(|| Ended {
            reason: reason.into(),
            unanswered: self.unanswered.load(Ordering::Relaxed),
        });
        // Either side may have shut it before.
        drop(self.tcp.shutdown(Shutdown::Both));
        self.room.close();
    }
}
