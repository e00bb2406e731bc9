//! A TCP proxy on 127.0.0.1 whose faults strike at a byte: lost, stalled, half-closed, corrupted, slowed to a trickle.
//!
//! ```ignore
//! let network = FaultyNetwork::to(sshd.port());
//! let strike = Strike { connection: 0, way: Way::ToClient, offset: 1_700, fault: Fault::Flip(3) };
//! network.arm(vec![strike]);      // cuts what is there now; the next connection is number 0
//! ```
//!
//! [`super::proxy`] is a network that is bad as a whole; this one fails once, at a place that can be named and met again.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often a thread that waits looks whether it is over.
const LOOK: Duration = Duration::from_millis(10);

/// Time between two bytes of a trickle.
const DRIP: Duration = Duration::from_millis(50);

/// Which of a connection's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the program sends.
    ToServer,
    /// What the server sends.
    ToClient,
}

/// What happens at the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset, for both ends.
    Reset,
    /// The connection is closed, for both ends.
    Close,
    /// Nothing passes this way any more; both ends stay open.
    Stall,
    /// The stream ends here as if its sender had closed it; the other way goes on.
    HalfClose,
    /// One bit of the byte is the other way round.
    Flip(u8),
    /// So many bytes are missing.
    Drop(usize),
    /// From here on it comes byte by byte, 20 a second.
    Trickle,
}

/// One fault, and where it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Of the connections since [`FaultyNetwork::arm`], the first being 0.
    pub connection: usize,
    /// The stream.
    pub way: Way,
    /// The byte of the stream, the first being 0.
    pub offset: u64,
    /// What happens there.
    pub fault: Fault,
}

/// A running proxy. Dropping it closes all that passes through it.
pub struct FaultyNetwork {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    over: AtomicBool,
    plan: Mutex<Plan>,
    /// Connections that are open.
    open: AtomicUsize,
    struck: AtomicUsize,
    passed: [AtomicU64; 2],
    /// How the server began to speak, on the first connection since faults were laid.
    greeting: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Plan {
    strikes: Vec<Strike>,
    accepted: usize,
    /// Ends the connections of an earlier plan.
    current: Arc<AtomicBool>,
}

/// One connection, held by the threads of both ways: its sockets are closed when both have ended.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    over: AtomicBool,
    plan_over: Arc<AtomicBool>,
    state: Arc<State>,
    number: usize,
}

impl FaultyNetwork {
    /// Forwards connections to a port on 127.0.0.1, without faults at first.
    pub fn to(target: u16) -> FaultyNetwork {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let there = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if there.over.load(Ordering::SeqCst) {
                    return;
                }
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", target))) {
                    connect(client, server, &there);
                }
            }
        });
        FaultyNetwork { port, state }
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection there is, and lays faults for those to come.
    pub fn arm(&self, strikes: Vec<Strike>) {
        let mut plan = self.state.plan.lock().expect("nobody panicked with it");
        plan.current.store(true, Ordering::SeqCst);
        *plan = Plan {
            strikes,
            ..Plan::default()
        };
        self.state.struck.store(0, Ordering::SeqCst);
        self.state.greeting.lock().expect("nobody panicked with it").clear();
        self.state
            .passed
            .iter()
            .for_each(|passed| passed.store(0, Ordering::SeqCst));
    }

    /// Faults that have struck since they were laid.
    pub fn struck(&self) -> usize {
        self.state.struck.load(Ordering::SeqCst)
    }

    /// Bytes that have passed since faults were laid, one way.
    pub fn passed(&self, way: Way) -> u64 {
        self.state.passed[way as usize].load(Ordering::SeqCst)
    }

    /// Where the server's first encrypted packet begins, once a connection has got as far: behind the banner and the packets
    /// of the key exchange, the last of which is NEWKEYS.
    pub fn first_encrypted(&self) -> Option<u64> {
        let greeting = self.state.greeting.lock().expect("nobody panicked with it");
        let mut at = greeting.iter().position(|byte| *byte == b'\n')? + 1;
        loop {
            let length = u32::from_be_bytes(*greeting.get(at..)?.first_chunk()?) as usize;
            let kind = *greeting.get(at + 5)?;
            at += 4 + length;
            if kind == 21 {
                return Some(at as u64);
            }
        }
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyNetwork {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.arm(Vec::new());
        // Wakes the listener, which then ends.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn connect(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let mut plan = state.plan.lock().expect("nobody panicked with it");
    let number = plan.accepted;
    plan.accepted += 1;
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("an option");
        socket.set_read_timeout(Some(LOOK)).expect("a timeout");
    }
    state.open.fetch_add(1, Ordering::SeqCst);
    let connection = Arc::new(Connection {
        client,
        server,
        over: AtomicBool::new(false),
        plan_over: plan.current.clone(),
        state: state.clone(),
        number,
    });
    for way in [Way::ToServer, Way::ToClient] {
        let mine = |strike: &&Strike| strike.connection == number && strike.way == way;
        let strike = plan.strikes.iter().find(mine).copied();
        let connection = connection.clone();
        std::thread::spawn(move || {
            connection.carry(way, strike);
            connection.over.store(true, Ordering::SeqCst);
        });
    }
}

impl Connection {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) || self.plan_over.load(Ordering::SeqCst)
    }

    /// Carries one way until the connection is over. The end of one way is the end of both, unless it was struck.
    fn carry(&self, way: Way, strike: Option<Strike>) {
        let (mut from, to) = match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        };
        let mut chunk = vec![0; 64 * 1024];
        let mut offset = 0;
        while !self.is_over() {
            let bytes = match from.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => &mut chunk[..count],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => return,
            };
            if way == Way::ToClient && self.number == 0 && offset < 64 * 1024 {
                let mut greeting = self.state.greeting.lock().expect("nobody panicked with it");
                greeting.extend_from_slice(bytes);
            }
            let begins = offset;
            offset += bytes.len() as u64;
            self.state.passed[way as usize].fetch_add(bytes.len() as u64, Ordering::SeqCst);
            let at = strike.filter(|strike| strike.offset < offset);
            let Some(Strike {
                offset: place, fault, ..
            }) = at
            else {
                if !self.pass(to, bytes) {
                    return;
                }
                continue;
            };
            if place >= begins {
                self.state.struck.fetch_add(1, Ordering::SeqCst);
            }
            let place = usize::try_from(place.saturating_sub(begins)).expect("within the chunk");
            let is_now = strike.is_some_and(|strike| strike.offset >= begins);
            let goes_on = match fault {
                // Once, in passing.
                Fault::Flip(_) | Fault::Drop(_) if !is_now => self.pass(to, bytes),
                Fault::Flip(bit) => {
                    bytes[place] ^= 1 << (bit % 8);
                    self.pass(to, bytes)
                }
                Fault::Drop(count) => {
                    // What is missing ends with what came along, so that one place is enough to remember.
                    let end = bytes.len().min(place + count);
                    self.pass(to, &bytes[..place]) && self.pass(to, &bytes[end..])
                }
                Fault::Trickle => self.pass(to, &bytes[..place]) && self.drip(from, to, &bytes[place..]),
                Fault::Reset => {
                    self.pass(to, &bytes[..place]);
                    for socket in [from, to] {
                        rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).ok();
                    }
                    false
                }
                Fault::Close => {
                    self.pass(to, &bytes[..place]);
                    for socket in [from, to] {
                        socket.shutdown(Shutdown::Both).ok();
                    }
                    false
                }
                Fault::HalfClose => {
                    self.pass(to, &bytes[..place]);
                    to.shutdown(Shutdown::Write).ok();
                    self.until_hung_up(from, true);
                    false
                }
                Fault::Stall => {
                    self.pass(to, &bytes[..place]);
                    self.until_hung_up(from, false);
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    fn pass(&self, mut to: &TcpStream, bytes: &[u8]) -> bool {
        to.write_all(bytes).is_ok()
    }

    /// Byte by byte, until the end.
    fn drip(&self, from: &TcpStream, to: &TcpStream, bytes: &[u8]) -> bool {
        for byte in bytes {
            std::thread::sleep(DRIP);
            if self.is_over() || has_hung_up(from) || has_hung_up(to) || !self.pass(to, &[*byte]) {
                return false;
            }
        }
        true
    }

    /// Waits until either end has had enough. What still comes is thrown away, or stays where it is and holds its sender up.
    fn until_hung_up(&self, mut from: &TcpStream, throw_away: bool) {
        let mut chunk = [0; 4096];
        while !self.is_over() && !has_hung_up(&self.client) && !has_hung_up(&self.server) {
            match throw_away {
                // However much there was: it is gone.
                true => drop(from.read(&mut chunk)),
                false => std::thread::sleep(LOOK),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.state.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the far end has closed its side, read or not.
fn has_hung_up(socket: &TcpStream) -> bool {
    let mut ends = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut ends, Some(&now)), Ok(count) if count > 0)
}
