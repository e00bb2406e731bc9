//! The thread that owns a connection: it carries packets out and in, and matches replies to requests by id.
//!
//! A libssh2 session belongs to one thread, and everything it does may have to wait for the socket. So the verbs never
//! touch it: they hand their requests over a channel and await a oneshot each, and this thread does what it can and then
//! sleeps in `poll` on two things, the socket and a wake-up. Requests of many files are in flight at once; how many is
//! bounded by the caller ([`super::client`]), not here.
//!
//! libssh2 and `EAGAIN`: a write that would block has perhaps encrypted and half sent its packet, and must be repeated with
//! the same bytes. The outbox therefore only ever grows at its end and shrinks by what was taken.
//!
//! The thread ends, and closes the socket, when the client is dropped, when the connection breaks, when the server sends
//! what is no SFTP, or when it has been silent for the deadline with requests open. It never waits without a limit.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::carrier::Carrier;
use super::connect::Connected;
use super::line::Line;
use super::window::Share;
use super::wire::{Framer, Reply, Request, WireError, decode};

/// What a request holds until it is answered.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// Its place among the requests in flight.
    pub place: Option<OwnedSemaphorePermit>,
    /// Its share of the bytes that may be in flight; held on by the answer until that is consumed.
    pub share: Option<Share>,
    /// For a request that opens something: its place among the open handles, which goes over to the handle.
    pub handle_place: Option<OwnedSemaphorePermit>,
}

/// A reply, with whatever it brought along.
#[derive(Debug)]
pub(super) struct Answer {
    /// What the server said. A handle is not in here but in `handle`.
    pub reply: Reply,
    /// The file it opened, closed when this is dropped.
    pub handle: Option<OpenHandle>,
    /// Held as long as the bytes of the answer are in memory.
    pub share: Option<Share>,
}

/// An open file or directory on the server. Dropping it closes it, whoever drops it and why: a caller whose future was
/// cancelled before the reply came leaks nothing.
#[derive(Debug)]
pub(super) struct OpenHandle {
    bytes: Vec<u8>,
    place: Option<OwnedSemaphorePermit>,
    orders: Orders,
}

impl OpenHandle {
    /// The handle's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes the duty to close from this guard: the caller sends CLOSE itself, to learn how that went.
    pub fn disarm(mut self) -> (Vec<u8>, Option<OwnedSemaphorePermit>) {
        (std::mem::take(&mut self.bytes), self.place.take())
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            let request = Request::close(&self.bytes);
            self.orders.send(Order {
                request,
                reply: None,
                // The place is free when the server has closed, not when we have asked it to.
                holds: Holds {
                    handle_place: self.place.take(),
                    ..Holds::default()
                },
            });
        }
    }
}

/// One request on its way to the pump.
#[derive(Debug)]
pub(super) struct Order {
    /// What is asked.
    pub request: Request,
    /// Who waits for the answer; `None` where nobody does.
    pub reply: Option<oneshot::Sender<Answer>>,
    /// What it holds until it is answered.
    pub holds: Holds,
}

/// The way to the pump: a queue, and the tap on its shoulder.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    queue: mpsc::Sender<Order>,
    bell: Arc<Bell>,
}

impl Orders {
    /// The two ends.
    pub fn new() -> io::Result<(Orders, Inbox)> {
        let (queue, orders) = mpsc::channel();
        let (ring, hear) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        hear.set_nonblocking(true)?;
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            ring,
        });
        let inbox = Inbox {
            orders,
            bell: bell.clone(),
            hear,
        };
        Ok((Orders { queue, bell }, inbox))
    }

    /// Hands an order over. If the pump has ended, the order is dropped, and with it its oneshot: the waiter sees that.
    pub fn send(&self, order: Order) {
        if self.queue.send(order).is_ok() {
            self.bell.ring();
        }
    }

    /// Asks the pump to say goodbye once it has written what it was given.
    pub fn hang_up(&self) {
        self.bell.leaving.store(true, Ordering::Release);
        self.bell.ring();
    }
}

/// Wakes the pump from `poll`. The flag keeps a thousand orders from writing a thousand bytes.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    leaving: AtomicBool,
    ring: UnixStream,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Full means that it rings already; broken means that the pump is gone. Neither is news.
            drop((&self.ring).write(&[1]));
        }
    }
}

/// The pump's end of [`Orders`].
#[derive(Debug)]
pub(super) struct Inbox {
    orders: mpsc::Receiver<Order>,
    bell: Arc<Bell>,
    hear: UnixStream,
}

impl Inbox {
    /// Makes the bell ready to ring again. Before the queue is emptied: an order that comes later rings it.
    fn hush(&mut self) {
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            drop(self.hear.read(&mut [0; 16]));
        }
    }
}

/// What waits for a reply.
struct Waiting {
    reply: Option<oneshot::Sender<Answer>>,
    holds: Holds,
    data_max: usize,
    asked: Instant,
}

/// One connection's carrier.
pub(super) struct Pump {
    carrier: Box<dyn Carrier>,
    line: Arc<Line>,
    inbox: Inbox,
    orders: Orders,
    framer: Framer,
    outbox: Vec<u8>,
    waiting: HashMap<u32, Waiting>,
    id_next: u32,
    /// When a byte last came, or a request went out with none open before it.
    stirred: Instant,
}

impl Pump {
    /// A carrier for a connection on which VERSION was exchanged.
    pub fn new(up: Connected, inbox: Inbox, orders: Orders, line: Arc<Line>) -> Pump {
        Pump {
            carrier: up.carrier,
            line,
            inbox,
            orders,
            framer: up.framer,
            outbox: Vec::new(),
            waiting: HashMap::new(),
            id_next: 1,
            stirred: Instant::now(),
        }
    }

    /// Runs until the connection is over. `timeout` is the silence that is taken for a dead server while a request is
    /// open; `keepalive` the idleness after which it is asked for a sign of life.
    pub fn run(mut self, timeout: Duration, keepalive: Duration) {
        let reason = match self.carry(timeout, keepalive) {
            Ok(()) => {
                self.carrier.part();
                "the connection was closed".to_string()
            }
            Err(reason) => reason,
        };
        // Before the oneshots go: who wakes asks the line why.
        self.line.end(reason);
    }

    fn carry(&mut self, timeout: Duration, keepalive: Duration) -> Result<(), String> {
        self.deliver()?;
        loop {
            self.inbox.hush();
            while let Ok(order) = self.inbox.orders.try_recv() {
                self.take(order);
            }
            self.write()?;
            if self.inbox.bell.leaving.load(Ordering::Acquire) && self.outbox.is_empty() {
                return Ok(());
            }
            if self.read()? {
                self.deliver()?;
                continue;
            }
            let quiet = self.stirred.elapsed();
            let patience = if self.waiting.is_empty() { keepalive } else { timeout };
            if let Some(left) = patience.checked_sub(quiet).filter(|left| !left.is_zero()) {
                self.sleep(left)?;
            } else if self.waiting.is_empty() {
                // Asked in SFTP's own words. libssh2's keepalive would be answered too, but it keeps every answer, and
                // it sends from its stack: one that is half sent can never be finished.
                self.take(Order {
                    request: Request::real_path("."),
                    reply: None,
                    holds: Holds::default(),
                });
            } else {
                return Err(format!("the server was silent for {}", super::super::seconds(timeout)));
            }
        }
    }

    /// Puts a request into the outbox.
    fn take(&mut self, order: Order) {
        if self.waiting.is_empty() {
            self.stirred = Instant::now();
        }
        while self.waiting.contains_key(&self.id_next) {
            self.id_next = self.id_next.wrapping_add(1);
        }
        order.request.encode(self.id_next, &mut self.outbox);
        let waiting = Waiting {
            data_max: order.request.data_max(),
            reply: order.reply,
            holds: order.holds,
            asked: Instant::now(),
        };
        self.waiting.insert(self.id_next, waiting);
        self.id_next = self.id_next.wrapping_add(1);
    }

    /// Writes as much of the outbox as goes.
    fn write(&mut self) -> Result<(), String> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.outbox.len() {
                break Ok(());
            }
            match self.carrier.write(&self.outbox[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(broken(&error)),
            }
        };
        self.outbox.drain(..sent);
        outcome
    }

    /// Reads one chunk; whether there was any.
    fn read(&mut self) -> Result<bool, String> {
        match self.carrier.read(self.framer.space()) {
            Ok(0) if self.carrier.is_over() => Err("the server ended the session".to_string()),
            Ok(0) => Ok(false),
            Ok(count) => {
                self.stirred = Instant::now();
                self.framer.received(count);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Hands the replies that have arrived whole to those who wait for them.
    fn deliver(&mut self) -> Result<(), String> {
        let garbled = |error: WireError| format!("the server does not speak SFTP as it should: {error}");
        while let Some(packet) = self.framer.next().map_err(garbled)? {
            let (id, reply) = decode(packet).map_err(garbled)?;
            let waiting = self.waiting.remove(&id);
            let waiting = waiting.ok_or_else(|| garbled(WireError(format!("an answer to no request (id {id})"))))?;
            drop(waiting.holds.place);
            let (reply, handle) = match reply {
                Reply::Data(bytes) if bytes.len() > waiting.data_max => {
                    let excess = format!("{} bytes where {} were asked for", bytes.len(), waiting.data_max);
                    let reason = garbled(WireError(excess));
                    // Whoever waits for it wakes as soon as it is forgotten here, and asks the line why.
                    self.line.end(reason.clone());
                    return Err(reason);
                }
                Reply::Handle(bytes) => {
                    let handle = OpenHandle {
                        bytes,
                        place: waiting.holds.handle_place,
                        orders: self.orders.clone(),
                    };
                    (Reply::Status(super::wire::status::OK, String::new()), Some(handle))
                }
                reply => (reply, None),
            };
            if let Some(waiter) = waiting.reply {
                // A waiter that has gone takes nothing with it: a handle in the answer closes itself.
                let share = waiting
                    .holds
                    .share
                    .and_then(|share| share.answered_after(waiting.asked.elapsed()));
                drop(waiter.send(Answer { reply, handle, share }));
            }
        }
        Ok(())
    }

    /// Sleeps until the socket or the bell has something, at most for `left`.
    fn sleep(&mut self, left: Duration) -> Result<(), String> {
        let socket = if self.carrier.waits_to_write() {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        let mut ends = [
            PollFd::new(&self.line.tcp, socket),
            PollFd::new(&self.inbox.hear, PollFlags::IN),
        ];
        let left = left.min(Duration::from_secs(3600));
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()) as _,
        };
        match poll(&mut ends, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(format!("waiting for the socket: {error}")),
        }
    }
}

/// What libssh2 says of a connection that broke, in words.
fn broken(error: &io::Error) -> String {
    format!("the connection broke: {error}")
}
