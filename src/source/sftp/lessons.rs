//! What the connections to a server have taught, for the next one.
//!
//! Servers have limits that they do not tell. Some take few requests at a time, and beyond that hang or hang up; then each
//! new connection would run into the same wall, and nothing would ever get through. So when one connection after the other
//! ends with requests unanswered, the next one asks for fewer at a time. It may have been the line and not the server:
//! that lesson is forgotten after a while, and costs speed until then.

use std::time::{Duration, Instant};

use super::trust::KeyType;

/// Requests in flight, beside the reads of fetches. A small file takes about ten, from its first look to its rename: at 20 ms
/// of round trip 1,024 carry 5,000 files a second.
const REQUESTS: usize = 1024;

/// What OpenSSH's own client has in flight at most: after the first lesson, no more than that.
const REQUESTS_USUAL: usize = 64;

/// By what the requests in flight are divided after each lesson.
const STEP: usize = 4;

/// Connections that end with requests unanswered, one after the other, before it is taken for the server's way.
const ENDS: u32 = 2;

/// A connection that lived so long before its end went well until then.
const LIVES_WELL: Duration = Duration::from_secs(600);

/// How long a lesson holds.
const HOLDS_FOR: Duration = Duration::from_secs(3600);

/// What was learnt.
#[derive(Debug, Clone, Default)]
pub(super) struct Lessons {
    /// The type of host key that was trusted: to be asked for first.
    pub key_type: Option<KeyType>,
    /// Handles that it was found to take, and since when.
    handles: Option<(usize, Instant)>,
    /// Requests that it is thought to take, and since when.
    requests: Option<(usize, Instant)>,
    /// Connections that ended badly, in a row, and the fewest requests that were open then.
    ends: u32,
    unanswered_min: usize,
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
        self.handles.map(|(handles, _)| handles)
    }

    /// Whether one of them is old, and the next connection is to try without.
    pub fn are_old(&self, now: Instant) -> bool {
        let is_old = |since: Instant| now.duration_since(since) >= HOLDS_FOR;
        self.handles.is_some_and(|(_, since)| is_old(since)) || self.requests.is_some_and(|(_, since)| is_old(since))
    }

    /// Forgets what may not be so any more.
    pub fn forget_old(&mut self, now: Instant) {
        if self.are_old(now) {
            *self = Lessons {
                key_type: self.key_type,
                ..Lessons::default()
            };
        }
    }

    /// The server took no more handles than this.
    pub fn took_handles(&mut self, count: usize, now: Instant) {
        let count = self.handles_max().map_or(count, |before| before.min(count));
        self.handles = Some((count, now));
    }

    /// A connection has ended after so long, by nobody's wish, with so many requests unanswered.
    pub fn ended(&mut self, unanswered: usize, lived: Duration, now: Instant) {
        self.forget_old(now);
        if lived >= LIVES_WELL {
            self.ends = 0;
        }
        // With one request open, fewer are no remedy.
        if unanswered <= 1 {
            self.ends = 0;
            return;
        }
        self.unanswered_min = if self.ends == 0 {
            unanswered
        } else {
            unanswered.min(self.unanswered_min)
        };
        self.ends += 1;
        if self.ends >= ENDS {
            self.ends = 0;
            let fewer = (self.unanswered_min / STEP).clamp(1, REQUESTS_USUAL);
            self.requests = Some((fewer.min(self.requests_max()), now));
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
            lessons.ended(unanswered, Duration::from_secs(10), at);
            lessons.requests_max()
        };
        assert_eq!(after(500, now), 1024, "a cut line is nothing to learn from");
        assert_eq!(after(1, now), 1024, "nor with one request open");
        assert_eq!(after(500, now), 1024);
        assert_eq!(after(600, now), 64);
        assert_eq!((after(64, now), after(64, now)), (64, 16));
        assert_eq!((after(9, now), after(16, now)), (16, 2));
        assert_eq!((after(2, now), after(2, now)), (2, 1));
        assert_eq!((after(1, now), after(1, now)), (1, 1), "it cannot be fewer");
        let later = now + HOLDS_FOR;
        assert_eq!(after(1, later), 1024, "perhaps it was the line after all");
    }

    #[test]
    fn the_fewest_handles_count() {
        let mut lessons = Lessons::default();
        let now = Instant::now();
        assert_eq!(lessons.handles_max(), None);
        lessons.took_handles(20, now);
        lessons.took_handles(30, now);
        assert_eq!(lessons.handles_max(), Some(20));
        lessons.forget_old(now + HOLDS_FOR / 2);
        assert_eq!(lessons.handles_max(), Some(20));
        assert!(lessons.are_old(now + HOLDS_FOR));
        lessons.forget_old(now + HOLDS_FOR);
        assert_eq!(lessons.handles_max(), None);
    }

    #[test]
    fn an_end_now_and_then_is_no_lesson() {
        let mut lessons = Lessons::default();
        for _ in 0..10 {
            lessons.ended(500, LIVES_WELL, Instant::now());
        }
        assert_eq!(lessons.requests_max(), REQUESTS);
    }
}
