//! The deadline of a dial: what is left of it, and its end from outside.
//!
//! Every wait of libssh2 is given what is left. That is not enough by itself: it looks at the time only where it waits.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ssh2::Session;

use super::super::seconds;

/// The moment by which all of it must be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    /// From now.
    pub fn after(whole: Duration) -> Deadline {
        Deadline {
            at: Instant::now() + whole,
            whole,
        }
    }

    /// What is left, or how to say that nothing is.
    pub fn left(&self) -> Result<Duration, String> {
        let left = self.at.saturating_duration_since(Instant::now());
        // libssh2 takes 0 ms for "for ever".
        if left < Duration::from_millis(1) {
            Err(format!("not done within {}", seconds(self.whole)))
        } else {
            Ok(left)
        }
    }

    /// Gives the session's next blocking call what is left.
    pub fn arm(&self, session: &Session) -> Result<(), String> {
        session.set_timeout(u32::try_from(self.left()?.as_millis()).unwrap_or(u32::MAX));
        Ok(())
    }
}

/// Ends a dial at its deadline, from outside. libssh2 looks at the time only where it has to wait, and a server that never
/// stops sending is never waited for: line after line where its banner should be, one SSH_MSG_IGNORE after another.
pub(super) struct Alarm {
    /// Dropped when the dial is over, which ends the thread that waits for it.
    _dial: mpsc::Sender<()>,
}

impl Alarm {
    /// Sets it for the deadline.
    pub fn set(tcp: &Arc<TcpStream>, deadline: &Deadline) -> Result<Alarm, String> {
        let (dial, over) = mpsc::channel();
        let (tcp, left) = (tcp.clone(), deadline.left()?);
        let wait = move || {
            if over.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Either side may have shut it before.
                drop(tcp.shutdown(Shutdown::Both));
            }
        };
        let waiting = std::thread::Builder::new()
            .name("dial deadline".to_string())
            .spawn(wait);
        waiting.map_err(|error| format!("starting a thread: {error}"))?;
        Ok(Alarm { _dial: dial })
    }
}
