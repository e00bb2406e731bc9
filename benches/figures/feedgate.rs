//! Feedgate itself as a child: a configuration, a state directory of its own, and a look into the ledger afterwards whether it
//! did what it was timed for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags};

use crate::run::{self, Cost};

/// The name of the one source there is.
pub const SOURCE: &str = "partner";

/// A configuration and a state directory.
pub struct Feedgate {
    program: PathBuf,
    dir: PathBuf,
}

impl Feedgate {
    /// Writes the configuration into `dir`: the keys of the source, and tables that follow it.
    pub fn new(program: &Path, dir: &Path, source: &str, more: &str) -> Result<Feedgate> {
        fs::create_dir_all(dir)?;
        let config = format!(
            "state_dir = '{}'\n\n[[source]]\nname = \"{SOURCE}\"\nsettle = \"0s\"\n{source}\n{more}",
            dir.join("state").display()
        );
        fs::write(dir.join("feedgate.toml"), config)?;
        Ok(Feedgate {
            program: program.to_owned(),
            dir: dir.to_owned(),
        })
    }

    /// `feedgate once`, from start to end.
    pub fn once(&self) -> Result<Cost> {
        // 1: it did its work, and some archive failed.
        self.run(&["once"], &[0, 1])
    }

    /// Any command of it; with the configuration.
    pub fn run(&self, arguments: &[&str], codes: &[i32]) -> Result<Cost> {
        let mut command = command(&self.program);
        command.args(arguments).arg("-c").arg(self.dir.join("feedgate.toml"));
        run::run(&mut command, codes, &self.dir.join("said"))
    }

    /// Where its state lies.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Holds what the ledger says against what was to be imported and moved.
    pub fn imported(&self, archives: usize, entries: usize) -> Result<()> {
        let question = "SELECT count(*), coalesce(sum(accepted), 0) FROM imports WHERE status = 'processed' AND disposition = 'moved'";
        let found: (usize, usize) = self.ask(question)?;
        ensure!(
            found == (archives, entries),
            "{archives} archives of {entries} entries were there to be imported and moved, and {found:?} were"
        );
        Ok(())
    }

    /// Two numbers from the ledger.
    pub fn ask(&self, question: &str) -> Result<(usize, usize)> {
        ask(&self.state().join("ledger.db"), question)
    }
}

/// `feedgate`, with nothing of this machine's environment in it, and nothing on standard output.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FEEDGATE")) {
        command.env_remove(name);
    }
    command.stdout(Stdio::null());
    command
}

/// Two numbers from a database.
pub fn ask(database: &Path, question: &str) -> Result<(usize, usize)> {
    let doing = || format!("asking {}", database.display());
    let opened = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).with_context(doing)?;
    opened
        .query_row(question, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .with_context(doing)
}
