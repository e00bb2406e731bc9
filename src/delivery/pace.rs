//! When a destination that failed is tried again, and when that is worth a line in the log.
//!
//! Pure: the clock's reading and the random number come in as arguments.

/// First wait after a failure that passes by itself, in milliseconds; it doubles with each failure.
const UNAVAILABLE_MS_MIN: i64 = 1_000;

/// Longest such wait.
const UNAVAILABLE_MS_MAX: i64 = 5 * 60 * 1_000;

/// First wait after a failure that somebody has to mend, in milliseconds; it doubles likewise.
const BARRED_MS_MIN: i64 = 5 * 60 * 1_000;

/// Longest such wait.
const BARRED_MS_MAX: i64 = 60 * 60 * 1_000;

/// A fault that lasts is said again after this long, in milliseconds.
const SAID_AGAIN_MS: i64 = 60 * 60 * 1_000;

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may pass by itself.
    Unavailable,
    /// Somebody has to look.
    Barred,
}

/// The failures of one destination, in a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pace {
    attempts: u32,
    since: i64,
    said: Option<(Failure, i64)>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// When to try again, UTC milliseconds.
    pub retry_at: i64,
    /// Failures in a row, this one included.
    pub attempts: u32,
    /// Whether it is worth saying: it just began, became another, or lasts.
    pub say: bool,
}

/// A row of failures that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// How many there were.
    pub attempts: u32,
    /// How long it took, in milliseconds.
    pub lasted_ms: i64,
}

impl Pace {
    /// Goes on counting where an earlier run of the program left off.
    pub fn resumed(attempts: u32, since: i64) -> Pace {
        Pace {
            attempts,
            since,
            said: None,
        }
    }

    /// Counts a failure. `random` is from 0 up to, not including, 1: it takes off up to half of the wait, so that many who
    /// failed together do not come back together.
    pub fn failed(&mut self, failure: Failure, now: i64, random: f64) -> Next {
        if self.attempts == 0 {
            self.since = now;
        }
        let doublings = self.attempts.min(30);
        self.attempts = self.attempts.saturating_add(1);
        let (min, max) = match failure {
            Failure::Unavailable => (UNAVAILABLE_MS_MIN, UNAVAILABLE_MS_MAX),
            Failure::Barred => (BARRED_MS_MIN, BARRED_MS_MAX),
        };
        let wait = min.saturating_mul(1 << doublings).min(max);
        let taken_off = (wait as f64 / 2.0 * random.clamp(0.0, 1.0)) as i64;
        let say = match self.said {
            Some((said, at)) => said != failure || now - at >= SAID_AGAIN_MS,
            None => true,
        };
        if say {
            self.said = Some((failure, now));
        }
        Next {
            retry_at: now + wait - taken_off,
            attempts: self.attempts,
            say,
        }
    }

    /// Something succeeded. `Some` if failures went before.
    pub fn succeeded(&mut self, now: i64) -> Option<Over> {
        let over = (self.attempts > 0).then_some(Over {
            attempts: self.attempts,
            lasted_ms: now - self.since,
        });
        *self = Pace::default();
        over
    }
}

#[cfg(test)]
mod tests {
    use super::Failure::*;
    use super::*;

    fn check(failure: Failure, before: u32, random: f64, expect_ms: i64) {
        let next = Pace::resumed(before, 0).failed(failure, 1_000_000, random);
        assert_eq!(
            next.retry_at - 1_000_000,
            expect_ms,
            "{failure:?} after {before}, {random}"
        );
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        check(Unavailable, 0, 0.0, 1_000);
        check(Unavailable, 1, 0.0, 2_000);
        check(Unavailable, 8, 0.0, 256_000);
        check(Unavailable, 9, 0.0, 300_000);
        check(Unavailable, u32::MAX, 0.0, 300_000);
        check(Barred, 0, 0.0, 300_000);
        check(Barred, 3, 0.0, 2_400_000);
        check(Barred, 4, 0.0, 3_600_000);
    }

    #[test]
    fn chance_takes_off_up_to_half() {
        check(Unavailable, 0, 0.5, 750);
        check(Unavailable, 0, 1.0, 500);
        check(Barred, 0, 1.0, 150_000);
    }

    #[test]
    fn a_fault_is_said_when_it_starts_now_and_then_and_when_it_changes() {
        let mut pace = Pace::default();
        let mut say = |failure, now| pace.failed(failure, now, 0.0).say;
        assert!(say(Unavailable, 0));
        assert!(!say(Unavailable, 1_000));
        assert!(!say(Unavailable, 3_599_999));
        assert!(say(Unavailable, 3_600_000));
        assert!(!say(Unavailable, 3_700_000));
        assert!(say(Barred, 3_700_001));
        assert!(say(Unavailable, 3_700_002));
    }

    #[test]
    fn what_is_over_is_said_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.succeeded(5), None);
        pace.failed(Unavailable, 10, 0.0);
        pace.failed(Unavailable, 20, 0.0);
        let over = Over {
            attempts: 2,
            lasted_ms: 90,
        };
        assert_eq!(pace.succeeded(100), Some(over));
        assert_eq!(pace.succeeded(101), None);
        assert!(pace.failed(Unavailable, 200, 0.0).say);
    }
}
