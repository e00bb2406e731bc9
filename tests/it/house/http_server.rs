//! An HTTP/1.1 server on 127.0.0.1 that stores what it is sent and does as a test tells it, request by request.
//!
//! ```ignore
//! let server = HttpServer::start();
//! server.next(Script::status(429).with_header("Retry-After", "7"));
//! server.next(Script::CutAfter);          // then it answers 200 and `{}` again, as always
//! // ... a delivery to `server.url()` ...
//! assert_eq!(server.requests()[0].header("content-type"), Some("application/x-ndjson"));
//! assert_eq!(server.stored().len(), 1);   // what a real receiver would have kept
//! ```
//!
//! What a request gets: the first of what was queued by [`HttpServer::next`]; else what [`HttpServer::answer_with`] says;
//! else [`HttpServer::always`]. Nothing here sleeps but [`Script::Slow`], and what waits ends when the server is dropped.

// A harness offers more than each test takes.
#![allow(dead_code)]

mod connection; // requests read, answers written, as the script wants it
mod request; // what was received
mod script; // what a request gets
mod tls; // certificates for localhost, good and bad

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

pub use request::Request;
pub use script::Script;
pub use tls::Certificate;

/// Longest wait for something that should happen soon. Far more than is ever needed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

type AnswerWith = Arc<dyn Fn(&Request) -> Script + Send + Sync>;

/// A running server. Dropping it cuts every connection.
pub struct HttpServer {
    port: u16,
    /// Bound and never listening: while the server is stopped nobody else gets its port, and who dials it is refused.
    _port_holder: OwnedFd,
    tls: Option<tls::Identity>,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

/// What the connections' threads know.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next: VecDeque<Script>,
    always: Script,
    answer_with: Option<AnswerWith>,
    requests: Vec<Request>,
    /// The sockets of all connections, to cut them by.
    open: Vec<(usize, TcpStream)>,
    accepted: usize,
    /// Raised by [`HttpServer::release`]: whoever stalled at a lower number answers now.
    released: usize,
    stalled: usize,
    stopping: bool,
}

impl HttpServer {
    /// Plain HTTP.
    pub fn start() -> HttpServer {
        HttpServer::launch(None)
    }

    /// HTTPS, with a certificate for `localhost` and 127.0.0.1 by an authority of its own: [`HttpServer::ca_pem`].
    pub fn start_tls() -> HttpServer {
        HttpServer::start_tls_with(Certificate::Good)
    }

    /// HTTPS, with any of the certificates there are.
    pub fn start_tls_with(certificate: Certificate) -> HttpServer {
        HttpServer::launch(Some(tls::Identity::new(certificate)))
    }

    fn launch(tls: Option<tls::Identity>) -> HttpServer {
        let holder = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&holder, true).expect("a shared address");
        bind(&holder, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let bound = rustix::net::getsockname(&holder).expect("an address");
        let port = SocketAddrV4::try_from(bound).expect("an IPv4 address").port();
        let server = HttpServer {
            port,
            _port_holder: holder,
            tls,
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    next: VecDeque::new(),
                    always: Script::ok("{}"),
                    answer_with: None,
                    requests: Vec::new(),
                    open: Vec::new(),
                    accepted: 0,
                    released: 0,
                    stalled: 0,
                    stopping: false,
                }),
                changed: Condvar::new(),
            }),
            listening: Mutex::new(None),
        };
        server.listen();
        server
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`: without a slash at its end.
    pub fn url(&self) -> String {
        match self.tls {
            None => format!("http://127.0.0.1:{}", self.port),
            Some(_) => format!("https://localhost:{}", self.port),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that vouches for this server, as PEM.
    pub fn ca_pem(&self) -> String {
        let identity = self.tls.as_ref().expect("a server that speaks TLS");
        identity.ca_pem.clone()
    }

    /// Queues what the next request gets that finds nothing queued before it.
    pub fn next(&self, script: Script) {
        self.state().next.push_back(script);
    }

    /// What requests get for which nothing is queued; at first `200` and `{}`.
    pub fn always(&self, script: Script) {
        let mut state = self.state();
        state.always = script;
        state.answer_with = None;
    }

    /// Decides by the request what it gets. It has been read by then: [`Script::CutInBody`] and [`Script::AnswerEarly`] must
    /// be queued.
    pub fn answer_with(&self, decide: impl Fn(&Request) -> Script + Send + Sync + 'static) {
        self.state().answer_with = Some(Arc::new(decide));
    }

    /// What was queued and not taken yet.
    pub fn queued(&self) -> usize {
        self.state().next.len()
    }

    /// Every request received so far, in the order in which they were read; cut ones too.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The requests that a real receiver would have kept.
    pub fn stored(&self) -> Vec<Request> {
        let requests = self.requests();
        requests.into_iter().filter(|request| request.stored).collect()
    }

    /// Forgets the requests received so far.
    pub fn forget(&self) {
        self.state().requests.clear();
    }

    /// Waits until so many requests were received, and returns them.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        self.wait_until(&format!("{count} requests"), |state| state.requests.len() >= count);
        self.requests()
    }

    /// Waits until so many requests stall.
    pub fn wait_for_stalled(&self, count: usize) {
        self.wait_until(&format!("{count} stalled requests"), |state| state.stalled >= count);
    }

    /// Has every request that stalls answered with `200` and `{}`.
    pub fn release(&self) {
        self.state().released += 1;
        self.shared.changed.notify_all();
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.state().accepted
    }

    /// Cuts every connection there is, as a server does with idle ones.
    pub fn cut_connections(&self) {
        for (_, socket) in self.state().open.drain(..) {
            // It may have ended already.
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    /// Cuts every connection and refuses new ones, until [`HttpServer::restart`]. What was received is kept.
    pub fn stop(&self) {
        let Some(listening) = self.listening().take() else {
            return;
        };
        self.state().stopping = true;
        self.shared.changed.notify_all();
        // Wakes the listener, which then ends.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
        listening.join().expect("the listener ends");
        self.cut_connections();
    }

    /// Listens again, on the same port.
    pub fn restart(&self) {
        self.stop();
        self.state().stopping = false;
        self.listen();
    }

    fn listen(&self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).expect("the port is held for it");
        let shared = self.shared.clone();
        let tls = self.tls.as_ref().map(|identity| identity.config.clone());
        let listening = std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { continue };
                let number = {
                    let mut state = shared.state();
                    if state.stopping {
                        return;
                    }
                    state.accepted += 1;
                    let number = state.accepted;
                    state.open.push((number, socket.try_clone().expect("a socket")));
                    number
                };
                let (shared, tls) = (shared.clone(), tls.clone());
                std::thread::spawn(move || connection::serve(number, socket, tls, &shared));
            }
        });
        *self.listening() = Some(listening);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn listening(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| !holds(state));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let received = state.requests.clone();
        drop(state);
        assert!(
            !timeout.timed_out(),
            "waited in vain for {what}; received: {received:#?}"
        );
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed says so itself; the server still has to end.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request gets whose head alone has been read, where it is known.
    fn queued_script(&self) -> Option<Script> {
        self.state().next.pop_front()
    }

    /// What a request gets for which nothing was queued.
    fn usual_script(&self, request: &Request) -> Script {
        // Decided outside the lock: the test's own function may ask the server something.
        let decide = self.state().answer_with.clone();
        match decide {
            Some(decide) => decide(request),
            None => self.state().always.clone(),
        }
    }

    fn note(&self, request: Request) {
        self.state().requests.push(request);
        self.changed.notify_all();
    }

    /// Waits until somebody releases what stalls; `false`: the server stopped instead.
    fn stall(&self) -> bool {
        let mut state = self.state();
        let at_start = state.released;
        state.stalled += 1;
        self.changed.notify_all();
        while state.released == at_start && !state.stopping {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.stalled -= 1;
        !state.stopping
    }

    fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    fn closed(&self, number: usize) {
        self.state().open.retain(|(open, _)| *open != number);
    }
}
