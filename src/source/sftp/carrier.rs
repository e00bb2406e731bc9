//! What carries SFTP's bytes: a channel of an SSH session. And in `fuzzing`, which wants the bytes and not the cryptography,
//! a script.

use std::io::{self, Read, Write};

use ssh2::BlockDirections;

use super::connect::Ssh;

/// A carrier of bytes that never blocks; where nothing can be done for now, it says `WouldBlock`.
pub(super) trait Carrier: Send {
    /// Reads what has come. 0 where that is nothing: for now, or for ever if it [`Carrier::is_over`].
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as goes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the server has ended it.
    fn is_over(&self) -> bool;

    /// Whether it waits until the socket takes more.
    fn waits_to_write(&self) -> bool;

    /// Says goodbye.
    fn part(&mut self);
}

impl Carrier for Ssh {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.read(into)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn is_over(&self) -> bool {
        self.channel.eof()
    }

    fn waits_to_write(&self) -> bool {
        matches!(
            self.session.block_directions(),
            BlockDirections::Outbound | BlockDirections::Both
        )
    }

    fn part(&mut self) {
        // libssh2 sends it or does not; the socket closes either way.
        drop(self.session.disconnect(None, "done", None));
    }
}
