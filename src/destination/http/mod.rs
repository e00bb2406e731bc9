//! Not built yet.

use super::Reply;
use super::receiver::{Added, Answer, Call, Receiver};
use crate::config::resolve::HttpSettings;
use crate::events::{Bounds, Event};

/// Not built yet.
pub(super) struct Http;

impl Http {
    pub(super) fn open(_settings: &HttpSettings) -> Result<Http, Reply> {
        Ok(Http)
    }
}

pub(super) fn check(_settings: &HttpSettings) -> Result<(), Reply> {
    Ok(())
}

impl Receiver for Http {
    fn bounds(&self) -> Bounds {
        Bounds {
            events: 100,
            bytes: 1 << 20,
        }
    }

    fn clear(&mut self) {}

    fn add(&mut self, _event: &Event<'_>) -> Added {
        Added::Dropped
    }

    fn bytes(&self) -> usize {
        0
    }

    fn make(&mut self, _call: &Call) -> Answer {
        Answer::Delivered
    }
}
