//! Whether somebody agrees to what was just shown: said beforehand by `--yes`, or asked at a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

/// Asks, unless that was said before. `Err` where there is nobody to ask, or nobody agrees: nothing is done then.
pub fn agreed(yes: bool, what: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("{what}: nothing is done without somebody's agreement; `--yes` gives it");
    }
    let mut stderr = io::stderr();
    write!(stderr, "{what}? [y/N] ").and_then(|()| stderr.flush())?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => anyhow::bail!("{what}: not agreed to, and nothing is done"),
    }
}
