//! How many bytes may be asked for ahead, learnt from how long answers take.
//!
//! A distant server wants much in flight, a slow line little: whatever else is asked for waits behind what was asked for
//! before, and six megabytes on a line of a megabit are a minute, which no deadline survives. So a window begins small,
//! grows with every answer that came soon, and shrinks with every one that came late.
//!
//! More in flight than fills the line is waste: it waits at the server, whose `sshd` copies it about. (112 MB over loopback
//! with 6 MiB in flight take it 0.62 s of CPU, with 2 MiB 0.30 s, and us 0.70 s by the clock instead of 0.45 s.) An answer
//! that took twice as long as the quickest waited behind others for half of that: then the line is full, and the window
//! stays as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// What a window begins with, in KiB.
const START_KIB: usize = 1024;

/// How many times as much is in flight after a round trip of early answers alone: a distant server is kept busy after two.
/// An answer is early within a quarter of what makes it late, so four times as many bytes are not late either.
const GROWTH: usize = 4;

/// What a window never shrinks below, in KiB.
const KIB_MIN: usize = 128;

/// Queueing that is never thought too long or too short to notice.
const LATE_MAX: Duration = Duration::from_secs(2);

/// Bytes that may be in flight: asked for and not yet consumed.
#[derive(Debug)]
pub(super) struct Window {
    room: Arc<Semaphore>,
    /// Permits that exist, held or free, in KiB.
    kib: AtomicUsize,
    kib_max: usize,
    late: Duration,
    /// The least time that an answer took, in microseconds: what the line takes when nothing waits.
    quickest: AtomicU64,
}

/// A part of a window, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    permit: OwnedSemaphorePermit,
    window: Arc<Window>,
}

impl Window {
    /// A window that grows to `kib_max` at most. Answers are late after an eighth of the deadline.
    pub fn new(kib_max: usize, timeout: Duration) -> Arc<Window> {
        Arc::new(Window {
            room: Arc::new(Semaphore::new(START_KIB)),
            kib: AtomicUsize::new(START_KIB),
            kib_max,
            late: (timeout / 8).min(LATE_MAX),
            quickest: AtomicU64::new(u64::MAX),
        })
    }

    /// Longest single request that leaves room for others, in bytes.
    pub fn len_max(&self) -> u32 {
        u32::try_from(self.kib.load(Ordering::Relaxed) * 1024 / 4).unwrap_or(u32::MAX)
    }

    /// A share of so many bytes, waited for.
    pub async fn share(self: &Arc<Window>, bytes: u32) -> Result<Share, AcquireError> {
        let permit = self.room.clone().acquire_many_owned(bytes.div_ceil(1024)).await?;
        Ok(Share {
            permit,
            window: self.clone(),
        })
    }

    /// A share of so many bytes, if there is room now.
    pub fn try_share(self: &Arc<Window>, bytes: u32) -> Option<Share> {
        let permit = self.room.clone().try_acquire_many_owned(bytes.div_ceil(1024)).ok()?;
        Some(Share {
            permit,
            window: self.clone(),
        })
    }

    /// Wakes whoever waits for room, with an error.
    pub fn close(&self) {
        self.room.close();
    }
}

impl Share {
    /// Learns from the time that an answer took: grows the window by thrice this share if it came soon, and takes this share
    /// out of it if it came late. Gives the share back if it still counts.
    pub fn answered_after(mut self, took: Duration) -> Option<Share> {
        let (window, kib) = (self.window.clone(), self.permit.num_permits());
        let now = window.kib.load(Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let quickest = window.quickest.fetch_min(micros, Ordering::Relaxed).min(micros);
        let waited = micros / 2 > quickest;
        // One pump answers, so nobody else changes the number in between.
        if took > window.late {
            let lost = kib.min(now.saturating_sub(KIB_MIN));
            if let Some(permit) = self.permit.split(lost) {
                permit.forget();
                window.kib.store(now - lost, Ordering::Relaxed);
            }
        } else if took < window.late / GROWTH as u32 && !waited {
            let gained = (kib * (GROWTH - 1)).min(window.kib_max.saturating_sub(now));
            window.room.add_permits(gained);
            window.kib.store(now + gained, Ordering::Relaxed);
        }
        (self.permit.num_permits() > 0).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(8);
    const SOON: Duration = Duration::from_millis(200);
    const LATE: Duration = Duration::from_secs(2);

    fn kib(window: &Window) -> usize {
        window.kib.load(Ordering::Relaxed)
    }

    #[test]
    fn grows_while_answers_come_soon() {
        let window = Window::new(2048, TIMEOUT);
        for _ in 0..100 {
            let share = window.try_share(64 * 1024).unwrap();
            drop(share.answered_after(SOON));
        }
        assert_eq!(kib(&window), 2048);
        assert_eq!(window.room.available_permits(), 2048, "all of it is free again");
    }

    #[test]
    fn is_wide_after_one_round_trip_of_a_distant_line() {
        let window = Window::new(64 * 1024, TIMEOUT);
        for _ in 0..START_KIB / 256 {
            drop(window.try_share(256 * 1024).unwrap().answered_after(SOON));
        }
        assert_eq!(kib(&window), START_KIB * GROWTH);
    }

    #[test]
    fn does_not_grow_beyond_what_fills_the_line() {
        let window = Window::new(64 * 1024, TIMEOUT);
        drop(window.try_share(1024).unwrap().answered_after(SOON / 8));
        let kib_before = kib(&window);
        for _ in 0..100 {
            drop(window.try_share(32 * 1024).unwrap().answered_after(SOON / 3));
        }
        assert_eq!(kib(&window), kib_before, "they waited behind one another");
        drop(window.try_share(32 * 1024).unwrap().answered_after(SOON / 5));
        assert!(kib(&window) > kib_before);
    }

    #[test]
    fn shrinks_when_they_come_late_and_recovers() {
        let window = Window::new(2048, TIMEOUT);
        for _ in 0..100 {
            let share = window.try_share(32 * 1024).unwrap();
            drop(share.answered_after(LATE));
        }
        assert_eq!((kib(&window), window.room.available_permits()), (KIB_MIN, KIB_MIN));
        assert_eq!(window.len_max(), 32 * 1024);
        assert!(window.try_share(KIB_MIN as u32 * 1024 + 1).is_none());
        for _ in 0..100 {
            drop(window.try_share(32 * 1024).unwrap().answered_after(SOON));
        }
        assert_eq!((kib(&window), window.room.available_permits()), (2048, 2048));
    }

    #[test]
    fn stays_in_between() {
        let window = Window::new(2048, TIMEOUT);
        drop(
            window
                .try_share(1024)
                .unwrap()
                .answered_after(Duration::from_millis(500)),
        );
        assert_eq!((kib(&window), window.room.available_permits()), (START_KIB, START_KIB));
    }
}
