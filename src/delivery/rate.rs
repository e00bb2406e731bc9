//! How fast a destination takes events, lately.
//!
//! Only time with something to deliver counts, waiting for leave to make a call included: so that what is left, divided by
//! the rate, is how long it takes. Pure: times come in as arguments.

/// After this long the events before are half forgotten, in milliseconds.
const PERIOD_MS: i64 = 5 * 60 * 1_000;

/// Events and the time they took, in this period and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rate {
    /// Since when there has been something to deliver, as far as it is counted already, UTC milliseconds.
    busy_since: Option<i64>,
    this: (u64, i64),
    before: (u64, i64),
}

impl Rate {
    /// There is something to deliver.
    pub(super) fn busy(&mut self, now: i64) {
        self.busy_since.get_or_insert(now);
    }

    /// There is nothing to deliver.
    pub(super) fn idle(&mut self) {
        self.busy_since = None;
    }

    /// For how long it was measured, in milliseconds.
    pub(super) fn measured_ms(&self) -> i64 {
        self.this.1 + self.before.1
    }

    /// So many events were delivered. Returns events a second; `None` if that cannot be said yet.
    pub(super) fn delivered(&mut self, events: u64, now: i64) -> Option<f64> {
        // A clock that was set back says nothing.
        let took_ms = self.busy_since.replace(now).map_or(0, |since| (now - since).max(0));
        if self.this.1 + took_ms > PERIOD_MS {
            self.before = std::mem::take(&mut self.this);
        }
        self.this = (self.this.0 + events, self.this.1 + took_ms);
        let (events, took_ms) = (self.this.0 + self.before.0, self.this.1 + self.before.1);
        (took_ms > 0).then(|| events as f64 * 1_000.0 / took_ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_busy_time_counts() {
        let mut rate = Rate::default();
        rate.busy(1_000);
        assert_eq!(rate.delivered(100, 2_000), Some(100.0));
        assert_eq!(rate.delivered(100, 3_000), Some(100.0));
        rate.idle();
        rate.busy(1_000_000);
        assert_eq!(rate.delivered(400, 1_002_000), Some(150.0));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut rate = Rate::default();
        rate.busy(0);
        rate.delivered(1_000_000, 1_000);
        let mut now = 1_000;
        let mut last = None;
        for _ in 0..20 {
            now += 60_000;
            last = rate.delivered(60, now);
        }
        assert_eq!(last, Some(1.0));
    }

    #[test]
    fn no_time_is_no_rate_and_a_clock_set_back_no_harm() {
        let mut rate = Rate::default();
        assert_eq!(rate.delivered(5, 1_000), None);
        assert_eq!(rate.delivered(5, 500), None);
        assert_eq!(rate.delivered(0, 1_500), Some(10.0));
    }
}
