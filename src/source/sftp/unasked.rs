//! How much comes from a server that is no answer to anything.
//!
//! libssh2 throws some packets away and keeps others for ever, those of unknown type and those that nobody waits for; it tells
//! of neither. But what lies in the socket before and after a call can be seen, and so can what came out of the channel: the
//! rest was something else. Honest servers send signs of life and new keys now and then.

/// Most bytes of it while requests are open. More than is in flight at any time, which counts as long as libssh2 holds it; and
/// little enough to be held.
const MAX: u64 = 32 * 1024 * 1024;

/// The same while nothing is asked. Signs of life come to this in days, and then it costs a dial.
const IDLE_MAX: u64 = 1024 * 1024;

/// What an answer has around it: the packets of SSH, padding and MAC.
const AROUND_AN_ANSWER: u64 = 128;

/// And the packets themselves, if they are small: one byte for so many. A server that packs a kilobyte at a time adds 4 %.
const AROUND_EACH: u64 = 8;

/// What has come on one connection.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    came: u64,
    given: u64,
    answers: u64,
    idle: u64,
}

impl Unasked {
    /// So many bytes, at least, were taken from the socket while requests were open.
    pub fn came(&mut self, bytes: u64) {
        self.came += bytes;
    }

    /// So many bytes, at most, were taken from the socket while nothing was asked.
    pub fn came_idle(&mut self, bytes: u64) {
        self.idle += bytes;
    }

    /// So many bytes came out of the channel.
    pub fn given(&mut self, bytes: usize) {
        self.given += bytes as u64;
    }

    /// One answer was found in them.
    pub fn answered(&mut self) {
        self.answers += 1;
    }

    /// Whether a connection on which nothing is asked has carried so much all the same that it is better closed.
    pub fn is_much_for_an_idle_line(&self) -> bool {
        self.idle > IDLE_MAX
    }

    /// # Errors
    /// The words for it, if it is more than can be borne.
    pub fn bearable(&self) -> Result<(), String> {
        let around = self.answers * AROUND_AN_ANSWER + self.given / AROUND_EACH;
        let unasked = self.came.saturating_sub(self.given).saturating_sub(around);
        match unasked > MAX {
            true => Err(format!(
                "the server sends what nobody asked for, {unasked} bytes so far"
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_and_many_small_answers_are_asked_for() {
        let mut unasked = Unasked::default();
        for _ in 0..100_000 {
            // A read's answer of 32 KiB, and a STATUS of 28 bytes, as they come over the line.
            for (came, given) in [(32_768 + 13 + 50, 32_768 + 13), (28 + 60, 28)] {
                unasked.came(came);
                unasked.given(given);
                unasked.answered();
            }
        }
        assert_eq!(unasked.bearable(), Ok(()));
        assert!(!unasked.is_much_for_an_idle_line());
    }

    #[test]
    fn a_flood_is_not() {
        let mut unasked = Unasked::default();
        unasked.came(MAX);
        assert_eq!(unasked.bearable(), Ok(()));
        unasked.came(1);
        assert!(unasked.bearable().unwrap_err().contains("nobody asked"));
        unasked.came_idle(IDLE_MAX + 1);
        assert!(unasked.is_much_for_an_idle_line());
    }
}
