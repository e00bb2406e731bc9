//! A connection as the verbs see it: requests out, answers in, each with room and a deadline.
//!
//! Anything that takes longer than the deadline ends the whole connection: a server that stalls one answer cannot be
//! trusted with the next, and a fresh connection is the one remedy that always exists.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::{SourceError, excerpt, seconds};
use super::connect::{Connected, connect};
use super::handles::Holder;
use super::lessons::Lessons;
use super::line::{Line, Room};
use super::pump::{Answer, Holds, OpenHandle, Order, Orders, Pump};
use super::trust::KeyType;
use super::wire::{self, Attributes, Extensions, Reply, Request, ServerLimits, status};
use crate::config::resolve::SftpSettings;

/// Longest read asked for where the server does not tell its limit: what every server takes.
const READ_UNTOLD: u32 = 32 * 1024;

/// Shortest read asked for, however little the server gives at a time.
const READ_MIN: u32 = 1024;

/// Longest read asked for at all: what OpenSSH sends in one packet.
const READ_MAX: u32 = 255 * 1024;

/// Longest write sent.
const WRITE_MAX: u32 = 32 * 1024;

/// Times that an OPEN is tried again while others are open: with a server of few handles, each takes a turn at those that are
/// closed by others.
const OPENS_AGAIN: u32 = 32;

/// Longest wait for one of the others to be closed.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Such waits in a row after which the failure is believed: beside a large fetch, nothing may be closed for an hour.
const WAITS_IN_VAIN_MAX: u32 = 2;

/// Idle time after which the server is asked for a sign of life, so that a connection a firewall has forgotten is found
/// dead before it is needed, and is not forgotten in the first place.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What is being done, to what: the beginning of every error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doing<'a>(pub &'static str, pub &'a str);

impl std::fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.0, excerpt(self.1))
    }
}

/// A server's answer that is not what was hoped for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Code of the STATUS.
    pub code: u32,
    /// The server's words.
    pub message: String,
}

impl Refusal {
    /// In the source's words.
    pub fn into_source_error(self, doing: Doing<'_>) -> SourceError {
        let doing = doing.to_string();
        let what = match self.code {
            status::NO_SUCH_FILE | status::NO_SUCH_PATH => return SourceError::Absent { doing },
            status::NO_CONNECTION | status::CONNECTION_LOST => {
                return SourceError::Lost {
                    doing,
                    reason: format!("the server says: {}", self.message),
                };
            }
            status::PERMISSION_DENIED => "permission denied; look at the account's rights on the server",
            status::UNSUPPORTED => "the server does not support this",
            status::NO_SPACE => "no space left on the server",
            status::QUOTA => "the account's quota on the server is used up",
            status::BAD_MESSAGE => "the server calls the request malformed",
            status::EOF => "the server says that nothing is there",
            _ => "the server refuses",
        };
        let told = match self.message.is_empty() {
            true => String::new(),
            false => format!(" (`{}`)", self.message),
        };
        SourceError::Refused {
            doing,
            reason: format!("{what}{told}"),
        }
    }
}

/// A connection with everything that belongs to it. Dropping it hangs up.
pub(super) struct Client {
    /// The connection.
    pub line: Arc<Line>,
    /// What the server offers beyond version 3.
    pub extensions: Extensions,
    /// The root, absolute as the server has it.
    pub root: String,
    /// Longest write.
    pub write_len: u32,
    /// Longest read; lowered when the server gives less than that.
    read_len: AtomicU32,
    /// What the last answer gave that was short without need.
    gave: AtomicU32,
    orders: Orders,
    timeout: Duration,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.orders.hang_up();
    }
}

impl Client {
    /// Dials, on a thread that becomes the connection's pump; resolves the root. `under_way` is held while it dials.
    ///
    /// # Errors
    /// `Lost`, `Barred`, and `Refused` if the server does not resolve the root.
    pub async fn dial(
        name: &str,
        settings: &SftpSettings,
        lessons: &Lessons,
        timeout: Duration,
        under_way: Arc<()>,
    ) -> Result<(Client, KeyType), SourceError> {
        let (ready, connected) = oneshot::channel();
        let (settings_there, key_type) = (settings.clone(), lessons.key_type);
        let spawned = std::thread::Builder::new().name(format!("sftp {name}")).spawn(move || {
            let connected = connect(&settings_there, key_type, timeout);
            drop(under_way);
            let (carry, carrier) = std::sync::mpsc::sync_channel::<Pump>(1);
            // If nobody waits for the connection any more, it ends right here.
            if ready.send(connected.map(|up| (up, carry))).is_ok()
                && let Ok(pump) = carrier.recv()
            {
                pump.run(timeout, KEEPALIVE);
            }
        });
        let lost = |reason: String| SourceError::Lost {
            doing: format!("connecting to {}", super::connect::whom(settings)),
            reason,
        };
        spawned.map_err(|error| lost(format!("starting a thread: {error}")))?;
        // The thread has the same deadline for what it does, but a name server may hold it longer.
        let connected = tokio::time::timeout(timeout + Duration::from_millis(500), connected).await;
        let connected = connected.map_err(|_| lost(format!("not done within {}", seconds(timeout))))?;
        let (up, carry) = connected.map_err(|_| lost("the connection's thread ended".to_string()))??;
        Client::start(settings, lessons, up, carry, timeout).await
    }

    /// Hands the pump of a connection that is up to its thread, and asks what must be known before anything else.
    pub async fn start(
        settings: &SftpSettings,
        lessons: &Lessons,
        up: Connected,
        carry: std::sync::mpsc::SyncSender<Pump>,
        timeout: Duration,
    ) -> Result<(Client, KeyType), SourceError> {
        let doing = Doing("resolving the root", &settings.root);
        let lost = |reason: String| SourceError::Lost {
            doing: doing.to_string(),
            reason,
        };
        let (extensions, key_type) = (up.extensions, up.key_type);
        let (orders, inbox) = Orders::new().map_err(|error| lost(format!("making a pipe: {error}")))?;
        let line = Arc::new(Line::new(up.tcp.clone(), Room::new(lessons, timeout)));
        line.watch(timeout);
        let pump = Pump::new(up, inbox, orders.clone(), line.clone(), lessons.unanswered_max());
        carry
            .send(pump)
            .map_err(|_| lost("the connection's thread ended".to_string()))?;
        let mut client = Client {
            line,
            extensions,
            root: String::new(),
            write_len: WRITE_MAX,
            read_len: AtomicU32::new(READ_UNTOLD),
            gave: AtomicU32::new(0),
            orders,
            timeout,
        };
        let limits = async {
            match extensions.limits {
                true => client.ask(Request::limits(), doing).await.map(Some),
                false => Ok(None),
            }
        };
        // Both at once: on a distant server each question costs a round trip.
        let (limits, root) = tokio::join!(limits, client.ask(Request::real_path(&settings.root), doing));
        let (limits, root) = (limits?, root?);
        client.root = match root.reply {
            Reply::Names(names) if names.len() == 1 => String::from_utf8(names[0].name.clone())
                .map_err(|_| lost("the server gives it a name that is not UTF-8".to_string()))?,
            Reply::Status(status::NO_SUCH_FILE | status::NO_SUCH_PATH, _) => {
                return Err(SourceError::Absent {
                    doing: doing.to_string(),
                });
            }
            // A server that resolves nothing takes the root as it was configured, or says of the first request what is wrong.
            Reply::Status(code, _) if code != status::OK => settings.root.clone(),
            other => return Err(client.unexpected(other, doing)),
        };
        // A server that announces its limits and then does not tell them keeps the cautious defaults.
        if let Some(Reply::Extended(body)) = limits.map(|answer| answer.reply)
            && let Ok(limits) = wire::decode_limits(&body)
        {
            client.keep_to(&limits);
        }
        Ok((client, key_type))
    }

    /// Keeps to what the server can take. Before anything is open.
    fn keep_to(&mut self, limits: &ServerLimits) {
        let clamp = |told: u64, untold: u32, max: u32| match told {
            0 => untold,
            told => u32::try_from(told).unwrap_or(u32::MAX).clamp(1024, max),
        };
        // A read's answer has 13 bytes around it, a write a handle and more: both must fit the packet too.
        let packet = clamp(limits.packet.saturating_sub(1024), READ_MAX, READ_MAX);
        self.read_len = AtomicU32::new(clamp(limits.read, READ_UNTOLD, READ_MAX).min(packet));
        self.write_len = clamp(limits.write, WRITE_MAX, WRITE_MAX).min(packet);
        self.line.room.handles.told(limits.handles);
    }

    /// Whether the connection is over.
    pub fn ended(&self) -> bool {
        self.line.ended().is_some()
    }

    /// The path on the server of one below the root.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.root.trim_end_matches('/'))
    }

    /// Longest read to ask for now.
    pub fn read_len(&self) -> u32 {
        self.read_len.load(Ordering::Relaxed)
    }

    /// Notes that the server gave no more than this, and not for want of more, so that the next requests ask for no more. A file
    /// that grew while it was read looks the same, once: less than every server should give is believed the second time.
    pub fn gives_at_most(&self, len: usize) {
        let Ok(len) = u32::try_from(len) else { return };
        let again = self.gave.swap(len, Ordering::Relaxed) == len;
        let least = if again { READ_MIN } else { READ_UNTOLD };
        self.read_len.fetch_min(len.max(least), Ordering::Relaxed);
    }

    /// Waits for room.
    pub async fn room(&self, room: &Arc<Semaphore>, doing: Doing<'_>) -> Result<OwnedSemaphorePermit, SourceError> {
        room.clone().acquire_owned().await.map_err(|_| self.lost(doing))
    }

    /// Hands a request to the pump, now.
    pub fn submit(&self, request: Request, holds: Holds) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order {
            request,
            reply: Some(reply),
            holds,
        });
        answer
    }

    /// Hands a request to the pump whose answer nobody needs.
    pub fn submit_and_forget(&self, request: Request) {
        self.orders.send(Order {
            request,
            reply: None,
            holds: Holds::default(),
        });
    }

    /// Waits for an answer, within the deadline.
    pub async fn answer(&self, answer: oneshot::Receiver<Answer>, doing: Doing<'_>) -> Result<Answer, SourceError> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.lost(doing)),
            Err(_) => {
                self.line.end(format!("no answer within {}", seconds(self.timeout)));
                Err(self.lost(doing))
            }
        }
    }

    /// Ends the connection if work of many requests has taken more than so many deadlines already.
    pub fn not_after(&self, begun: Instant, deadlines: u32, doing: Doing<'_>) -> Result<(), SourceError> {
        let whole = self.timeout.saturating_mul(deadlines);
        if begun.elapsed() <= whole {
            return Ok(());
        }
        self.line.end(format!("not done within {}", seconds(whole)));
        Err(self.lost(doing))
    }

    /// Work of many requests, each with a deadline of its own, and so many deadlines for all of it. What takes longer ends
    /// the connection, as a single answer does.
    pub async fn within<T>(
        &self,
        deadlines: u32,
        work: impl Future<Output = Result<T, SourceError>>,
        doing: Doing<'_>,
    ) -> Result<T, SourceError> {
        let whole = self.timeout * deadlines;
        match tokio::time::timeout(whole, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.line.end(format!("not done within {}", seconds(whole)));
                Err(self.lost(doing))
            }
        }
    }

    /// A request and its answer.
    pub async fn ask(&self, request: Request, doing: Doing<'_>) -> Result<Answer, SourceError> {
        let place = Some(self.room(&self.line.room.requests, doing).await?);
        self.answer(
            self.submit(
                request,
                Holds {
                    place,
                    ..Holds::default()
                },
            ),
            doing,
        )
        .await
    }

    /// A request that is answered by STATUS alone; the inner result is the server's word.
    pub async fn command(&self, request: Request, doing: Doing<'_>) -> Result<Result<(), Refusal>, SourceError> {
        match self.ask(request, doing).await?.reply {
            Reply::Status(status::OK, _) => Ok(Ok(())),
            Reply::Status(code, message) => Ok(Err(Refusal { code, message })),
            other => Err(self.unexpected(other, doing)),
        }
    }

    /// Opens a file or a directory, with a place among the open handles. A failure while others are open may mean only that
    /// they are too many for this server: see [`super::handles`].
    pub async fn open(
        &self,
        request: Request,
        holder: Holder,
        doing: Doing<'_>,
    ) -> Result<Result<OpenHandle, Refusal>, SourceError> {
        let handles = &self.line.room.handles;
        let mut handle_place = handles.place(holder).await.map_err(|_| self.lost(doing))?;
        let mut refused_among: Option<usize> = None;
        let mut waits_in_vain = 0;
        for again in 0..=OPENS_AGAIN {
            let place = Some(self.room(&self.line.room.requests, doing).await?);
            let (in_company, open_before) = (handles.any_busy(), handles.open());
            handle_place.asked();
            let holds = Holds {
                place,
                share: None,
                handle_place: Some(handle_place),
            };
            let answer = self.answer(self.submit(request.clone(), holds), doing).await?;
            let (code, message) = match (answer.handle, answer.reply) {
                (Some(handle), _) => {
                    // Not if as many were open this time: then it was something else, that passed.
                    if let Some(count) = refused_among.filter(|count| open_before < *count) {
                        handles.take_at_most(count);
                    }
                    return Ok(Ok(handle));
                }
                (None, Reply::Status(code, message)) => (code, message),
                (None, other) => return Err(self.unexpected(other, doing)),
            };
            handle_place = match answer.not_opened {
                Some(place)
                    if in_company
                        && again < OPENS_AGAIN
                        && waits_in_vain < WAITS_IN_VAIN_MAX
                        && status::is_plain_failure(code) =>
                {
                    place
                }
                _ => return Ok(Err(Refusal { code, message })),
            };
            let open = handles.open();
            refused_among = Some(open.min(refused_among.unwrap_or(open)));
            if handles.any_busy() {
                let closed = tokio::time::timeout(CLOSED_WITHIN, handles.closed()).await;
                waits_in_vain = if closed.is_ok() { 0 } else { waits_in_vain + 1 };
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Attributes of a path: of a link itself, where the server can tell them.
    pub async fn lstat(&self, path: &str, doing: Doing<'_>) -> Result<Option<Attributes>, SourceError> {
        match self.ask(Request::lstat(path), doing).await?.reply {
            Reply::Status(status::UNSUPPORTED, _) => self.attributes(Request::stat(path), doing).await,
            reply => self.attributes_in(reply, doing),
        }
    }

    /// Attributes, by STAT or LSTAT. `None` if nothing is there.
    pub async fn attributes(&self, request: Request, doing: Doing<'_>) -> Result<Option<Attributes>, SourceError> {
        let reply = self.ask(request, doing).await?.reply;
        self.attributes_in(reply, doing)
    }

    fn attributes_in(&self, reply: Reply, doing: Doing<'_>) -> Result<Option<Attributes>, SourceError> {
        match reply {
            Reply::Attributes(attributes) => Ok(Some(attributes)),
            Reply::Status(status::NO_SUCH_FILE | status::NO_SUCH_PATH, _) => Ok(None),
            Reply::Status(code, message) => Err(Refusal { code, message }.into_source_error(doing)),
            other => Err(self.unexpected(other, doing)),
        }
    }

    /// An answer of the wrong kind ends the connection: requests and answers may be out of step.
    pub fn unexpected(&self, reply: Reply, doing: Doing<'_>) -> SourceError {
        match reply {
            Reply::Status(code, message) if code != status::OK => Refusal { code, message }.into_source_error(doing),
            _ => {
                self.line.end("the server answered with a packet of the wrong kind");
                self.lost(doing)
            }
        }
    }

    /// Says goodbye, and waits until the socket is shut: a moment, or the deadline at most.
    pub async fn hang_up(&self, timeout: Duration) {
        self.orders.hang_up();
        // The pump closes the room as the last thing it does, and nothing else ever takes all of it.
        let over = self.line.room.requests.acquire_many(u32::MAX);
        if tokio::time::timeout(timeout, over).await.is_err() {
            self.line.end("closed");
        }
    }

    /// The connection is over, and this is why.
    pub fn lost(&self, doing: Doing<'_>) -> SourceError {
        let reason = self.line.ended().unwrap_or("the connection ended").to_string();
        SourceError::Lost {
            doing: doing.to_string(),
            reason,
        }
    }
}
