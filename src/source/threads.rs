//! A local source's own threads, on which its file system calls are made.
//!
//! A call into a mount whose server is gone may not return for days, and nothing can take it back. On the runtime's blocking
//! threads, which everybody shares, each poll would leave another such call behind, until none were left for the ledger. Here
//! it costs its own source alone, and never more than these few threads.
//!
//! They stay the same for the life of the source: what is allocated on ever new threads lies in ever new arenas of the
//! allocator, which made a root of 100,000 files grow by 10 MB now and then.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// A bounded number of threads, started as they are needed. Dropping it ends those that are idle at once, and the others with
/// the call they are in.
pub(super) struct Threads {
    name: String,
    threads_max: usize,
    shared: Arc<Shared>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The deadline passed. So many calls, this one among them, have not come back.
    Late { calls: usize },
    /// The call ended without an answer, or there is no thread for it: the words say which.
    Broken(String),
}

struct Shared {
    queue: Mutex<Queue>,
    called: Condvar,
}

#[derive(Default)]
struct Queue {
    calls: VecDeque<Call>,
    threads: usize,
    idle: usize,
    /// Calls that are being made.
    busy: usize,
    over: bool,
}

/// One call; it looks for itself whether anybody still waits for it.
type Call = Box<dyn FnOnce() + Send>;

impl Threads {
    /// At most so many threads, which bear the name.
    pub fn new(name: &str, threads_max: usize) -> Threads {
        Threads {
            name: name.to_string(),
            threads_max,
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                called: Condvar::new(),
            }),
        }
    }

    /// Makes a call on one of the threads, and waits no longer than the deadline. A call that has not begun by then is never
    /// made; one that has goes on, and its answer is lost.
    pub async fn call<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let call = move || {
            if !answer.is_closed() {
                answer.send(call()).ok(); // nobody may be waiting any more
            }
        };
        self.enqueue(Box::new(call))
            .map_err(|error| Unanswered::Broken(format!("starting a thread: {error}")))?;
        match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Broken("the operation was stopped".to_string())),
            Err(_) => Err(Unanswered::Late {
                calls: self.shared.lock().busy.max(1),
            }),
        }
    }

    fn enqueue(&self, call: Call) -> std::io::Result<()> {
        let mut queue = self.shared.lock();
        if queue.idle <= queue.calls.len() && queue.threads < self.threads_max {
            let shared = self.shared.clone();
            let started = std::thread::Builder::new()
                .name(self.name.clone())
                .spawn(move || shared.work());
            match started {
                Ok(_) => queue.threads += 1,
                // The threads there are will come to it.
                Err(_) if queue.threads > 0 => {}
                Err(error) => return Err(error),
            }
        }
        queue.calls.push_back(call);
        drop(queue);
        self.shared.called.notify_one();
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.called.notify_all();
    }
}

impl Shared {
    /// The life of one thread.
    fn work(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(call) = queue.calls.pop_front() {
                queue.busy += 1;
                drop(queue);
                // A panic of ours ends this call, which says so by its silence, and not the thread.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok();
                queue = self.lock();
                queue.busy -= 1;
            } else if queue.over {
                return;
            } else {
                queue.idle += 1;
                queue = self.called.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Calls are made without the lock, so that nothing is half done where it is poisoned.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Longer than anything here takes, unless it hangs.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_dead_mount_costs_its_own_threads_and_no_more() {
        let threads = Threads::new("mount", 3);
        let (mount_is_back, dead) = mpsc::channel::<()>();
        let dead = Arc::new(Mutex::new(dead));
        let begun = Arc::new(AtomicUsize::new(0));
        for poll in 1..=10 {
            let (dead, begun) = (dead.clone(), begun.clone());
            let hangs = move || {
                begun.fetch_add(1, Ordering::SeqCst);
                dead.lock().unwrap().recv().ok();
            };
            let unanswered = threads.call(SHORT, hangs).await;
            assert_eq!(unanswered, Err(Unanswered::Late { calls: poll.min(3) }));
        }
        drop(mount_is_back);
        assert_eq!(threads.call(LONG, || "listed").await, Ok("listed"));
        assert_eq!(
            begun.load(Ordering::SeqCst),
            3,
            "what nobody waited for any more was never begun"
        );
        assert_eq!(threads.shared.lock().threads, 3);
    }

    #[tokio::test]
    async fn one_call_after_the_other_is_one_thread() {
        let threads = Threads::new("mount", 3);
        let first = threads.call(LONG, || std::thread::current().id()).await;
        for _ in 0..100 {
            // A thread is idle a moment after its answer is heard.
            while threads.shared.lock().idle == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(threads.call(LONG, || std::thread::current().id()).await, first);
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_call_and_nothing_else() {
        let threads = Threads::new("mount", 1);
        let broken = threads.call(LONG, || panic!("on purpose")).await;
        assert_eq!(
            broken,
            Err::<(), _>(Unanswered::Broken("the operation was stopped".to_string()))
        );
        assert_eq!(threads.call(LONG, || 1).await, Ok(1));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_source() {
        let threads = Threads::new("mount", 2);
        threads.call(LONG, || ()).await.unwrap();
        let shared = threads.shared.clone();
        drop(threads);
        while Arc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
