//! How much time has passed, for what must not be undone by a wrong clock.
//!
//! What leaves the spool is gone. If the clock is set forward by a year, by mistake and for a minute, everything in it is old
//! enough at once, and what no destination has had yet with it. So the clock is held against the time that has passed since
//! it was read last, by a clock that nobody sets. When it runs ahead it is not believed before it has stood so for a day. A
//! clock that is set back makes things younger than they are, and does no harm.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use crate::on_disk;

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
    /// Since when it has not been believed, and for how long before that by whoever ran before.
    doubted: Option<(Instant, Duration)>,
}

/// The same, for whoever runs next. That the clock was not believed must outlast a restart: a minute later it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// What time it was, as far as the clock was believed.
    believed: i64,
    /// What the clock said.
    clock: i64,
    /// For how long it had not been believed.
    doubted: Option<Duration>,
}

impl Elapsing {
    /// At a start, after what was noted last.
    pub(super) fn since(noted: Option<Noted>, clock: i64, moment: Instant) -> Elapsing {
        let Some(noted) = noted else {
            return Elapsing {
                right: (clock, moment),
                doubted: None,
            };
        };
        let stopped = ahead(clock, noted.clock);
        if stopped > STOPPED_MAX || clock < noted.clock {
            return Elapsing {
                right: (noted.believed, moment),
                doubted: None,
            };
        }
        Elapsing {
            right: (noted.believed.saturating_add(clock - noted.clock), moment),
            doubted: noted.doubted.map(|doubted| (moment, doubted + stopped)),
        }
    }

    /// What time it is, as far as the clock is believed.
    pub(super) fn believed(&mut self, clock: i64, moment: Instant) -> i64 {
        let expected = self.expected(moment);
        if ahead(clock, expected) <= AHEAD_MAX || self.doubted_for(moment).is_some_and(|doubted| doubted >= DOUBT) {
            *self = Elapsing {
                right: (clock, moment),
                doubted: None,
            };
            return clock;
        }
        if self.doubted.is_none() {
            self.doubted = Some((moment, Duration::ZERO));
            tracing::warn!(
                hours = ahead(clock, expected).as_secs() / 3600,
                "the clock has gone ahead of the time that has passed, or nothing ran for long: nothing leaves the spool for its \
                 age until the clock has stood so for a day"
            );
        }
        expected
    }

    /// For whoever runs next.
    pub(super) fn noted(&self, clock: i64, moment: Instant) -> Noted {
        Noted {
            believed: self.expected(moment),
            clock,
            doubted: self.doubted_for(moment),
        }
    }

    fn expected(&self, moment: Instant) -> i64 {
        let passed = moment.saturating_duration_since(self.right.1);
        self.right
            .0
            .saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
    }

    fn doubted_for(&self, moment: Instant) -> Option<Duration> {
        self.doubted
            .map(|(since, before)| before + moment.saturating_duration_since(since))
    }
}

impl Noted {
    /// From its file; `None` if nothing was noted yet.
    pub(super) fn read(path: &Path) -> Option<Noted> {
        let text = fs::read_to_string(path).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<i64>);
        let mut next = || numbers.next()?.ok();
        Some(Noted {
            believed: next()?,
            clock: next()?,
            doubted: next()?.try_into().ok().map(Duration::from_millis),
        })
    }

    /// Into its file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let doubted = self
            .doubted
            .map_or(-1, |doubted| i64::try_from(doubted.as_millis()).unwrap_or(i64::MAX));
        on_disk::write(path, format!("{} {} {doubted}\n", self.believed, self.clock).as_bytes())
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

    fn noted(at: i64) -> Option<Noted> {
        Some(Noted {
            believed: at,
            clock: at,
            doubted: None,
        })
    }

    #[test]
    fn a_clock_that_keeps_time_is_believed() {
        let begin = Instant::now();
        let mut elapsing = Elapsing::since(noted(NOON - DAY_MS), NOON, begin);
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
        let mut elapsing = Elapsing::since(noted(NOON), NOON, begin);
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
        let mut elapsing = Elapsing::since(noted(NOON - 100 * DAY_MS), NOON, begin);
        assert_eq!(elapsing.believed(NOON, begin), NOON - 100 * DAY_MS);
        assert_eq!(elapsing.believed(NOON + DAY_MS, begin + hours(24)), NOON + DAY_MS);
    }
    #[test]
    fn a_restart_makes_no_wrong_clock_right() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spool.clock");
        let (mut begin, mut clock) = (Instant::now(), NOON + 365 * DAY_MS);
        Elapsing::since(None, NOON, begin)
            .noted(NOON, begin)
            .write(&file)
            .unwrap();
        // A pass from cron each hour, for a day.
        for hour in 0..24 {
            let mut elapsing = Elapsing::since(Noted::read(&file), clock, begin);
            assert_eq!(elapsing.believed(clock, begin), NOON + hour * HOUR_MS);
            elapsing.noted(clock, begin).write(&file).unwrap();
            (begin, clock) = (begin + hours(1), clock + HOUR_MS);
        }
        let mut elapsing = Elapsing::since(Noted::read(&file), clock, begin);
        assert_eq!(elapsing.believed(clock, begin), clock);
        assert_eq!(elapsing.noted(clock, begin), noted(clock).unwrap());
    }

    #[test]
    fn a_clock_that_was_put_right_between_two_runs_is_believed() {
        let begin = Instant::now();
        let wrong = Noted {
            believed: NOON,
            clock: NOON + 365 * DAY_MS,
            doubted: Some(hours(3)),
        };
        let mut elapsing = Elapsing::since(Some(wrong), NOON + HOUR_MS, begin);
        assert_eq!(elapsing.believed(NOON + HOUR_MS, begin), NOON + HOUR_MS);
    }
}
