//! Which events of a parcel are at fault, where the receiver only says that some are.
//!
//! It took none of them, so halves can be sent without sending anything twice: the first half, then what is left, always in
//! order and always from the front, so that the cursor never has to say more than "everything before this". The number of
//! calls is bounded; what they did not settle is given up as a whole.
//!
//! Pure.

use std::ops::Range;

/// Most calls after the one that was refused. They find two events at fault among a hundred, and mostly three; without a
/// bound a parcel of nothing but faults would take a call for each event.
pub(super) const CALLS_MAX: u32 = 20;

/// How far the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Narrow {
    /// Calls made since something was refused.
    pub(super) calls: u32,
    /// So many of the next events hold one at fault; `None`: nothing is known against those that are left.
    pub(super) suspects: Option<usize>,
}

impl Narrow {
    /// Whether something was refused.
    pub(super) fn has_begun(self) -> bool {
        self.calls > 0 || self.suspects.is_some()
    }

    /// What to send next of the events from `settled` up to `len`, at most `limit` of them; `None`: it was tried long enough.
    pub(super) fn next(self, settled: usize, len: usize, limit: usize) -> Option<Range<usize>> {
        if self.has_begun() && self.calls >= CALLS_MAX {
            return None;
        }
        let left = len - settled;
        let count = self.suspects.map_or(left, |suspects| suspects.div_ceil(2));
        Some(settled..settled + count.min(limit).min(left))
    }

    /// A call is made.
    pub(super) fn count_call(&mut self) {
        if self.has_begun() {
            self.calls += 1;
        }
    }

    /// One at fault is found: nothing is known against the others.
    pub(super) fn found(&mut self) {
        self.suspects = None;
    }

    /// The next `count` events were taken.
    pub(super) fn settled(&mut self, count: usize) {
        self.suspects = self
            .suspects
            .and_then(|suspects| suspects.checked_sub(count))
            .filter(|left| *left > 0);
    }

    /// The next `count` events were refused together; more than one.
    pub(super) fn refused(&mut self, count: usize) {
        self.suspects = Some(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers a parcel to a receiver that refuses any call with one of the events at fault, and returns the calls made,
    /// the events delivered, those found to be at fault, and those given up.
    fn deliver(len: usize, faults: &[usize], limit: usize) -> (usize, Vec<usize>, Vec<usize>, Vec<usize>) {
        let mut narrow = Narrow::default();
        let (mut calls, mut settled) = (0, 0);
        let (mut delivered, mut found, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        while settled < len {
            let Some(range) = narrow.next(settled, len, limit) else {
                given_up.extend(settled..len);
                break;
            };
            assert!(!range.is_empty() && range.start == settled && range.end <= len);
            narrow.count_call();
            calls += 1;
            let is_refused = faults.iter().any(|fault| range.contains(fault));
            if is_refused && range.len() > 1 {
                narrow.refused(range.len());
                continue;
            }
            settled = range.end;
            if is_refused {
                narrow.found();
                found.extend(range);
            } else {
                narrow.settled(range.len());
                delivered.extend(range);
            }
        }
        (calls, delivered, found, given_up)
    }

    fn check(len: usize, faults: &[usize], expect_calls: usize) {
        let (calls, delivered, found, given_up) = deliver(len, faults, usize::MAX);
        assert_eq!(
            (calls, &found[..], given_up.len()),
            (expect_calls, faults, 0),
            "{len} {faults:?}"
        );
        let others: Vec<usize> = (0..len).filter(|event| !faults.contains(event)).collect();
        assert_eq!(delivered, others);
    }

    #[test]
    fn the_one_at_fault_is_found_and_the_others_are_delivered() {
        check(1, &[], 1);
        check(1, &[0], 1);
        check(2, &[1], 3);
        check(100, &[], 1);
        check(100, &[0], 9);
        check(100, &[99], 8);
        check(100, &[50], 9);
        check(100, &[3, 97], 18);
        check(1000, &[777], 13);
    }

    #[test]
    fn every_single_fault_is_found_within_the_bound() {
        for len in 1..130 {
            for fault in 0..len {
                let (calls, delivered, found, given_up) = deliver(len, &[fault], usize::MAX);
                assert_eq!((found, given_up), (vec![fault], vec![]), "{fault} of {len}");
                assert_eq!(delivered.len(), len - 1);
                assert!(calls <= 1 + CALLS_MAX as usize);
            }
        }
    }

    #[test]
    fn too_many_faults_and_the_rest_is_given_up() {
        let faults: Vec<usize> = (0..100).collect();
        let (calls, delivered, found, given_up) = deliver(100, &faults, usize::MAX);
        assert_eq!((calls, delivered.len()), (1 + CALLS_MAX as usize, 0));
        assert_eq!(found.len() + given_up.len(), 100);
    }

    #[test]
    fn every_event_has_one_verdict_whatever_the_faults_and_the_limit() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let len = random.usize(1..200);
            let faults: Vec<usize> = (0..len).filter(|_| random.u32(0..20) == 0).collect();
            let (calls, delivered, found, given_up) = deliver(len, &faults, random.usize(1..300));
            assert!(found.iter().all(|event| faults.contains(event)));
            let mut all = [delivered, found, given_up].concat();
            all.sort_unstable();
            assert_eq!(all, (0..len).collect::<Vec<_>>(), "seed {seed}");
            assert!(calls <= len + CALLS_MAX as usize);
        }
    }
}
