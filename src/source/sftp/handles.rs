//! Files and directories open on the server at a time.
//!
//! Servers have a limit, and only OpenSSH tells it. Beyond it every OPEN is answered with a plain "failure", as it is for a
//! file that cannot be opened at all. So a failure in company is tried again when others have closed; if it goes then, the
//! company was too large, and is kept smaller from then on. A failure alone is the file's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};

/// Handles open at a time where the server does not tell its limit.
const UNTOLD: usize = 64;

/// Handles open at a time at most. OpenSSH allows about a thousand; each is a file descriptor of the server's. A small file and
/// its receipt have one each, for three round trips: at 20 ms the half of 768 carries 3,200 of both a second.
const TOLD_MAX: usize = 768;

/// Whom a handle is for. A fetch may hold one for hours, if its receiver stops: the others have places of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A whole file.
    Fetch,
    /// Small reads, listings, writes.
    Other,
}

/// The places for handles.
#[derive(Debug)]
pub(super) struct Handles {
    fetches: Arc<Places>,
    others: Arc<Places>,
    open: Arc<Open>,
    /// What earlier connections have taught; what the server tells does not go beyond it.
    half_max: usize,
    /// What this one has taught; 0 is nothing.
    taught: AtomicUsize,
}

/// One half of them.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    /// Places that exist, held or free.
    size: AtomicUsize,
    /// Places that are to go as soon as they are given back.
    excess: AtomicUsize,
}

/// What is open now.
#[derive(Debug, Default)]
struct Open {
    /// Known to be open.
    open: AtomicUsize,
    /// These, and what may be: asked for, and not answered.
    busy: AtomicUsize,
    /// Told when one was closed, or when none is left that could be.
    closed: Notify,
}

/// What a place is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Asked,
    Open,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    places: Arc<Places>,
    open: Arc<Open>,
    state: State,
}

impl Handles {
    /// Places on a server that has not told its limit. `taught` is what it was found to take before; nor does it make sense to
    /// have more open than can be asked for.
    pub fn new(taught: Option<usize>, requests_max: usize) -> Handles {
        let half_max = taught
            .map_or(TOLD_MAX / 2, |taught| taught / 2)
            .min(requests_max)
            .max(1);
        let half = half_max.min(UNTOLD / 2);
        Handles {
            fetches: Places::new(half),
            others: Places::new(half),
            open: Arc::default(),
            half_max,
            taught: AtomicUsize::new(0),
        }
    }

    /// Makes as many places as the server told; 0 means that it has no limit. Before anything is open.
    pub fn told(&self, told: u64) {
        let told = match told {
            0 => TOLD_MAX,
            told => usize::try_from(told).unwrap_or(TOLD_MAX).min(TOLD_MAX * 2),
        };
        // An eighth is left alone: closing takes a moment longer than we think. Each half has at least one.
        let half = ((told - told / 8).min(TOLD_MAX) / 2).min(self.half_max).max(1);
        for places in [&self.fetches, &self.others] {
            places.resize(half);
        }
    }

    /// A place, waited for.
    pub async fn place(&self, holder: Holder) -> Result<Place, AcquireError> {
        let places = match holder {
            Holder::Fetch => &self.fetches,
            Holder::Other => &self.others,
        };
        Ok(Place {
            permit: Some(places.free.clone().acquire_owned().await?),
            places: places.clone(),
            open: self.open.clone(),
            state: State::Free,
        })
    }

    /// How many are known to be open.
    pub fn open(&self) -> usize {
        self.open.open.load(Ordering::Relaxed)
    }

    /// Whether any are open, or may be in a moment.
    pub fn any_busy(&self) -> bool {
        self.open.busy.load(Ordering::Relaxed) > 0
    }

    /// Returns when one was closed, or if one was a moment ago. Who waits longest is woken first; all are when none is busy.
    pub async fn closed(&self) {
        self.open.closed.notified().await;
    }

    /// The server was found to take no more than so many.
    pub fn take_at_most(&self, count: usize) {
        let before = self.taught().unwrap_or(usize::MAX);
        self.taught.store(count.max(1).min(before), Ordering::Relaxed);
        for places in [&self.fetches, &self.others] {
            let half = (count / 2).max(1);
            if half < places.size.load(Ordering::Relaxed) {
                places.resize(half);
            }
        }
    }

    /// How many the server takes, if that was found out on this connection.
    pub fn taught(&self) -> Option<usize> {
        Some(self.taught.load(Ordering::Relaxed)).filter(|count| *count > 0)
    }

    /// Wakes whoever waits for a place, with an error.
    pub fn close(&self) {
        self.fetches.free.close();
        self.others.free.close();
        self.open.closed.notify_waiters();
    }
}

impl Places {
    fn new(size: usize) -> Arc<Places> {
        Arc::new(Places {
            free: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            excess: AtomicUsize::new(0),
        })
    }

    fn resize(&self, size: usize) {
        let before = self.size.swap(size, Ordering::Relaxed);
        if size >= before {
            self.free.add_permits(size - before);
        } else {
            let gone = self.free.forget_permits(before - size);
            self.excess.fetch_add(before - size - gone, Ordering::Relaxed);
        }
    }
}

impl Place {
    /// It is asked for.
    pub fn asked(&mut self) {
        self.turn(State::Asked);
    }

    /// It was opened.
    pub fn opened(&mut self) {
        self.turn(State::Open);
    }

    /// It was not.
    pub fn refused(&mut self) {
        self.turn(State::Free);
    }

    fn turn(&mut self, state: State) {
        let before = std::mem::replace(&mut self.state, state);
        let count = |counter: &AtomicUsize, was: bool, is: bool| match (was, is) {
            (false, true) => counter.fetch_add(1, Ordering::Relaxed) + 1,
            (true, false) => counter.fetch_sub(1, Ordering::Relaxed) - 1,
            _ => counter.load(Ordering::Relaxed),
        };
        count(&self.open.open, before == State::Open, state == State::Open);
        let busy = count(&self.open.busy, before != State::Free, state != State::Free);
        if before == State::Open {
            self.open.closed.notify_one();
        }
        if before != State::Free && busy == 0 {
            self.open.closed.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let goes = |excess: usize| excess.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.places.excess.fetch_update(set, fetch, goes).is_ok()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
        self.turn(State::Free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_half_for_fetches_and_a_half_for_the_others() {
        let check = |told: Option<u64>, taught: Option<usize>, half: usize| {
            let handles = Handles::new(taught, 1024);
            if let Some(told) = told {
                handles.told(told);
            }
            let free = |places: &Places| places.free.available_permits();
            assert_eq!(
                (free(&handles.fetches), free(&handles.others)),
                (half, half),
                "{told:?} {taught:?}"
            );
        };
        check(None, None, 32);
        check(Some(0), None, 336);
        check(Some(1019), None, 384);
        check(Some(u64::MAX), None, 384);
        check(Some(100), None, 44);
        check(Some(1), None, 1);
        check(None, Some(10), 5);
        check(Some(1019), Some(10), 5);
        check(None, Some(1), 1);
    }

    #[tokio::test]
    async fn fewer_while_some_are_taken() {
        let handles = Handles::new(None, 1024);
        let mut places = Vec::new();
        for _ in 0..20 {
            let mut place = handles.place(Holder::Other).await.unwrap();
            place.opened();
            places.push(place);
        }
        let free = || handles.others.free.available_permits();
        assert_eq!((handles.open(), free()), (20, 12));
        handles.take_at_most(16);
        assert_eq!((handles.open(), free()), (20, 0), "none of them is taken away");
        places.truncate(8);
        assert_eq!((handles.open(), free()), (8, 0));
        drop(places);
        assert_eq!((handles.open(), free()), (0, 8));
        handles.take_at_most(40);
        assert_eq!(free(), 8, "and never more again");
        assert_eq!(handles.taught(), Some(16));
    }
}
