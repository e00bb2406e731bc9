//! How much time has passed, for what must not be undone by a wrong clock.
//!
//! What leaves the spool is gone. If the clock is set forward by a year, by mistake and for a minute, everything in it is old
//! enough at once, and what no destination has had yet with it. So the clock is held against the time that has passed since
//! it was read last, by a clock that nobody sets. When it runs ahead it is not believed before it has stood so for a day. A
//! clock that is set back makes things younger than they are, and does no harm.

use std::time::{Duration, Instant};

/// How much the clock may run ahead: a server's clock is corrected by a minute, and by an hour where summer time is set by hand.
const AHEAD_MAX: Duration = Duration::from_secs(2 * 3600);

/// How long the clock must have stood so to be believed all the same.
const DOUBT: Duration = Duration::from_secs(24 * 3600);

/// How long nothing may have been running for the clock to be believed at a start.
const STOPPED_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is known of the time. Times are UTC milliseconds.
pub(super) struct Elapsing {
    /// The clock was right at this moment, and said so.
    right: (i64, Instant),
    /// Since when it has not been believed.
    doubted: Option<Instant>,
}

impl Elapsing {
    /// At a start, when the clock was read last by whoever ran before.
    pub(super) fn since(last: Option<i64>, clock: i64, moment: Instant) -> Elapsing {
        let begin = match last {
            Some(last) if ahead(clock, last) > STOPPED_MAX => last,
            _ => clock,
        };
        Elapsing {
            right: (begin, moment),
            doubted: None,
        }
    }

    /// What time it is, as far as the clock is believed.
    pub(super) fn believed(&mut self, clock: i64, moment: Instant) -> i64 {
        let passed = moment.saturating_duration_since(self.right.1);
        let expected = self
            .right
            .0
            .saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX));
        let doubted_for = self.doubted.map(|since| moment.saturating_duration_since(since));
        if ahead(clock, expected) <= AHEAD_MAX || doubted_for.is_some_and(|doubted_for| doubted_for >= DOUBT) {
            *self = Elapsing {
                right: (clock, moment),
                doubted: None,
            };
            return clock;
        }
        if self.doubted.is_none() {
            self.doubted = Some(moment);
            tracing::warn!(
                hours = ahead(clock, expected).as_secs() / 3600,
                "the clock has gone ahead of the time that has passed, or nothing ran for long: nothing leaves the spool for its \
                 age until the clock has stood so for a day"
            );
        }
        expected
    }
}

fn ahead(clock: i64, of: i64) -> Duration {
    Duration::from_millis(u64::try_from(clock.saturating_sub(of)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;
    const NOON: i64 = 1_800_000_000_000;

    fn hours(count: u64) -> Duration {
        Duration::from_secs(count * 3600)
    }

    #[test]
    fn a_clock_that_keeps_time_is_believed() {
        let begin = Instant::now();
        let mut elapsing = Elapsing::since(Some(NOON - DAY_MS), NOON, begin);
        assert_eq!(elapsing.believed(NOON, begin), NOON);
        assert_eq!(
            elapsing.believed(NOON + 5 * HOUR_MS, begin + hours(5)),
            NOON + 5 * HOUR_MS
        );
        assert_eq!(
            elapsing.believed(NOON + 7 * HOUR_MS, begin + hours(6)),
            NOON + 7 * HOUR_MS
        );
        assert_eq!(Elapsing::since(None, NOON, begin).believed(NOON, begin), NOON);
    }

    #[test]
    fn one_that_jumps_ahead_is_believed_when_it_has_stood_so_for_a_day() {
        let begin = Instant::now();
        let mut elapsing = Elapsing::since(Some(NOON), NOON, begin);
        let jumped = NOON + 365 * DAY_MS;
        assert_eq!(elapsing.believed(jumped + HOUR_MS, begin + hours(1)), NOON + HOUR_MS);
        assert_eq!(
            elapsing.believed(jumped + 20 * HOUR_MS, begin + hours(20)),
            NOON + 20 * HOUR_MS
        );
        assert_eq!(
            elapsing.believed(jumped + 25 * HOUR_MS, begin + hours(25)),
            jumped + 25 * HOUR_MS
        );
        assert_eq!(
            elapsing.believed(jumped + 26 * HOUR_MS, begin + hours(26)),
            jumped + 26 * HOUR_MS
        );
    }

    #[test]
    fn one_that_is_put_right_again_was_never_believed() {
        let begin = Instant::now();
        let mut elapsing = Elapsing::since(None, NOON, begin);
        assert_eq!(elapsing.believed(NOON + 365 * DAY_MS, begin + hours(1)), NOON + HOUR_MS);
        assert_eq!(
            elapsing.believed(NOON + 2 * HOUR_MS, begin + hours(2)),
            NOON + 2 * HOUR_MS
        );
        assert_eq!(
            elapsing.believed(NOON - 365 * DAY_MS, begin + hours(3)),
            NOON - 365 * DAY_MS
        );
    }

    #[test]
    fn after_a_long_stop_the_clock_is_doubted_from_the_start() {
        let begin = Instant::now();
        let mut elapsing = Elapsing::since(Some(NOON - 100 * DAY_MS), NOON, begin);
        assert_eq!(elapsing.believed(NOON, begin), NOON - 100 * DAY_MS);
        assert_eq!(elapsing.believed(NOON + DAY_MS, begin + hours(24)), NOON + DAY_MS);
    }
}
