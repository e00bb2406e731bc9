//! The one thread that a destination's blocking work is done on.
//!
//! The runtime's own threads for blocking work would do, but whichever of them comes next does the next piece, and the
//! allocator keeps for each what it needed at most: a dozen threads that took turns at one delivery held several times its
//! memory.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other. It is started when it is first needed, and ends with this.
#[derive(Default)]
pub(super) struct Desk {
    sender: Mutex<Option<Sender<Work>>>,
}

/// The work came to no end: it panicked, or no thread could be started.
#[derive(Debug)]
pub(super) struct BrokenOff;

impl Desk {
    /// Has work done, and waits for it.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, BrokenOff> {
        let (answer, answered) = channel();
        // Nobody waits any more where the receiver is gone; the work is done all the same.
        let work: Work = Box::new(move || drop(answer.send(work())));
        self.sender()?.send(work).map_err(|_| BrokenOff)?;
        answered.recv().map_err(|_| {
            // A panic ended the thread: the next piece of work has another.
            *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
            BrokenOff
        })
    }

    fn sender(&self) -> Result<Sender<Work>, BrokenOff> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            return Ok(sender.clone());
        }
        let (new, works) = channel::<Work>();
        thread::Builder::new()
            .name("delivery".to_owned())
            .spawn(move || works.into_iter().for_each(|work| work()))
            .map_err(|_| BrokenOff)?;
        *sender = Some(new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_is_done_by_one_thread() {
        let desk = Desk::default();
        let who = || thread::current().id();
        let first = desk.run(who).expect("done");
        assert_eq!(desk.run(who).expect("done"), first);
        assert_ne!(first, who());
    }

    #[test]
    fn a_panic_concerns_one_piece_of_work() {
        let desk = Desk::default();
        assert!(desk.run(|| panic!("as a test wants it")).is_err());
        assert_eq!(desk.run(|| 7).expect("done"), 7);
    }
}
