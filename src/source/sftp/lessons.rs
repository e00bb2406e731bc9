//! What the connections to a server have taught, for the next one.
//!
//! Servers have limits that they do not tell. Some take few requests at a time, and beyond that hang or hang up; then each
//! new connection would run into the same wall, and nothing would ever get through. So when one connection after the other
//! ends with many requests unanswered, the next one asks for fewer at a time. It may have been the line and not the server:
//! that lesson is forgotten after a while, and costs speed until then.

use std::time::{Duration, Instant};

use super::trust::KeyType;

/// Requests in flight, beside the reads of fetches. A small file takes about ten, from its first look to its rename: at 20 ms
/// of round trip 1,024 carry 5,000 files a second.
const REQUESTS: usize = 1024;

/// By what the requests in flight are divided after each lesson. 64 are what OpenSSH's own client has in flight; four are
/// little enough for anybody who takes more than one.
const STEP: usize = 16;

/// Connections that end with many requests unanswered, one after the other, before it is taken for the server's way.
const ENDS: u32 = 2;

/// How long a lesson about requests holds.
const HOLDS_FOR: Duration = Duration::from_secs(3600);

/// What was learnt.
#[derive(Debug, Clone, Default)]
pub(super) struct Lessons {
    /// The type of host key that was trusted: to be asked for first.
    pub key_type: Option<KeyType>,
    /// Handles that it was found to take.
    handles: Option<usize>,
    /// Requests that it is thought to take, and since when.
    requests: Option<(usize, Instant)>,
    /// Connections that ended badly, in a row.
    ends: u32,
}

impl Lessons {
    /// Requests to have in flight at most.
    pub fn requests_max(&self) -> usize {
        self.requests.map_or(REQUESTS, |(requests, _)| requests)
    }

    /// Requests to have on the wire at most, all of them: no bound but the room they need, as long as there was no lesson.
    pub fn unanswered_max(&self) -> usize {
        self.requests.map_or(usize::MAX, |(requests, _)| requests)
    }

    /// Handles to have open at most, if that was learnt.
    pub fn handles_max(&self) -> Option<usize> {
        self.handles
    }

    /// The server took no more handles than this.
    pub fn took_handles(&mut self, count: usize) {
        self.handles = Some(self.handles.map_or(count, |before| before.min(count)));
    }

    /// A connection has ended, by nobody's wish, with so many requests unanswered.
    pub fn ended(&mut self, unanswered: usize, now: Instant) {
        if self
            .requests
            .is_some_and(|(_, since)| now.duration_since(since) >= HOLDS_FOR)
        {
            self.requests = None;
        }
        // With one request open, fewer are no remedy; with few, a line that was cut is likelier.
        let many = unanswered > 1 && unanswered > self.requests_max() / (STEP * 2);
        self.ends = if many { self.ends + 1 } else { 0 };
        if self.ends >= ENDS {
            self.ends = 0;
            self.requests = Some(((self.requests_max() / STEP).max(1), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bad_ends_in_a_row_are_a_lesson() {
        let now = Instant::now();
        let mut lessons = Lessons::default();
        let mut after = |unanswered: usize, at: Instant| {
            lessons.ended(unanswered, at);
            lessons.requests_max()
        };
        assert_eq!(after(500, now), 1024, "a cut line is nothing to learn from");
        assert_eq!(after(3, now), 1024, "nor with few requests open");
        assert_eq!(after(500, now), 1024);
        assert_eq!(after(500, now), 64);
        assert_eq!((after(64, now), after(64, now)), (64, 4));
        assert_eq!((after(4, now), after(4, now)), (4, 1));
        assert_eq!((after(1, now), after(1, now)), (1, 1), "it cannot be fewer");
        let later = now + HOLDS_FOR;
        assert_eq!(after(1, later), 1024, "perhaps it was the line after all");
    }
}
