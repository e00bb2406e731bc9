//! The harness.

pub mod archives; // archives from readable text, honest and hostile
pub mod calls; // the binary's system calls: counted, written down, and one of them made to go wrong
pub mod far_end; // an SFTP server that does as a test tells it
pub mod faulty; // a TCP proxy on loopback that fails at a byte
pub mod gate; // the feedgate binary, its state directory and its configuration
pub mod http_server; // an HTTP server that stores what it is sent and does as a test tells it
pub mod power; // what a power failure could leave of what calls did
pub mod proxy; // a TCP proxy on loopback that stalls, cuts and delays
pub mod servers; // ProFTPD, dropbear, asyncssh and paramiko on loopback
pub mod small_disk; // a disk that can be filled
pub mod sshd; // OpenSSH's own sshd on loopback
pub mod world; // deliveries in this process, by a clock that a test can move
