//! As process 1: in a container that runs one command, and nothing before it.
//!
//! To process 1 the kernel delivers no signal that it does not listen to: what would end any other program does nothing, and
//! Ctrl-C on a long `docker run … events` would be in vain. `run`, `once` and `demo` listen themselves, and finish what they
//! have in hand. The other commands have nothing in hand that a transaction does not hold together, and end at once.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code that a shell gives a command that was ended by a signal is this and the signal's number.
const BY_SIGNAL: i32 = 128;

/// Has SIGTERM and SIGINT end the program, as they do wherever it is not process 1.
pub fn end_by_signals() -> anyhow::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    // A thread of its own: what the command is at may block for long.
    let listen = || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
            let (mut terminated, mut interrupted) = (signal(terminate)?, signal(interrupt)?);
            let by = tokio::select! {
                _ = terminated.recv() => terminate,
                _ = interrupted.recv() => interrupt,
            };
            std::process::exit(BY_SIGNAL + by.as_raw_value());
        })
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Err(error) = listen() {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "as process 1 this command cannot be ended by a signal"
                );
            }
        })
        .context("starting a thread to listen to signals")?;
    Ok(())
}
