//! Which spool files somebody is about to refer to, and so must not be removed, whatever the ledger says at this moment.
//!
//! An archive is in the spool before the ledger hears of it, and the same content may come from two sources at once. Whoever
//! wants to remove files asks the ledger first, and by the time of the removal its answer is old. So a file is spared if it
//! is pinned, and also if it was pinned at any time since the question was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The pins of one spool.
#[derive(Clone, Default)]
pub(super) struct Pins(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many pins each file has.
    held: HashMap<String, usize>,
    /// When the last pin of a file went, while somebody was asking.
    released: HashMap<String, u64>,
    /// Counts releases and questions.
    tick: u64,
    /// Questions that are open.
    asking: usize,
}

/// Keeps a spool file from being removed while it lives.
pub struct Pin {
    file: String,
    pins: Pins,
}

/// A question to the ledger: what is pinned after it was begun is spared.
pub struct Question {
    since: u64,
    pins: Pins,
}

impl Pins {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn pin(&self, file: &str) -> Pin {
        *self.state().held.entry(file.to_owned()).or_default() += 1;
        Pin {
            file: file.to_owned(),
            pins: self.clone(),
        }
    }

    pub(super) fn ask(&self) -> Question {
        let mut state = self.state();
        state.tick += 1;
        state.asking += 1;
        Question {
            since: state.tick,
            pins: self.clone(),
        }
    }
}

impl Question {
    /// Does it, unless the file is pinned or was since the question; nobody can pin it meanwhile.
    pub(super) fn unless_pinned<T>(&self, file: &str, doing: impl FnOnce() -> T) -> Option<T> {
        let state = self.pins.state();
        let released = state.released.get(file).is_some_and(|released| *released > self.since);
        match state.held.contains_key(file) || released {
            true => None,
            false => Some(doing()),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        state.asking -= 1;
        if state.asking == 0 {
            state.released.clear();
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        let Some(count) = state.held.get_mut(&self.file) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        state.held.remove(&self.file);
        if state.asking > 0 {
            state.tick += 1;
            let tick = state.tick;
            state.released.insert(self.file.clone(), tick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_or_was_pinned_since_the_question_is_spared() {
        let pins = Pins::default();
        let goes = |question: &Question| question.unless_pinned("a", || ()).is_some();
        let before = pins.pin("a");
        let question = pins.ask();
        assert!(!goes(&question), "it is pinned");
        drop(before);
        assert!(
            !goes(&question),
            "it was pinned when the question was asked, and an import may refer to it since"
        );
        assert!(goes(&pins.ask()), "a later question has a newer answer");
        drop(question);
        let question = pins.ask();
        assert!(goes(&question), "nobody wants it");
        drop(pins.pin("a"));
        assert!(!goes(&question), "somebody came meanwhile");
        drop(question);
        assert!(pins.state().released.is_empty(), "nothing is kept when nobody asks");
    }
}
