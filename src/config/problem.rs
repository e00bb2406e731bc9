//! What is wrong with the configuration, and where it was written.

use std::fmt;
use std::path::PathBuf;

use crate::hidden::escaped;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nowhere: a default, or something that is missing from the whole.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem with what was written at `place`.
    pub fn new(place: Place, message: impl Into<String>) -> Problem {
        Problem {
            place,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys and names of variables are said again as they were written, and may hold anything.
        let message = escaped(&self.message);
        match &self.place {
            Place::Line(line) => write!(f, "line {line}: {message}"),
            Place::Variable(name) => write!(f, "{}: {message}", escaped(name)),
            Place::Nowhere => f.write_str(&message),
        }
    }
}

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// None was named, and none lies where one is looked for.
    #[error(
        "looking for a configuration: there is none at {}; name one with `-c FILE` or FEEDGATE_CONFIG, or set FEEDGATE__… \
         variables (`config/example.toml` shows every key)",
        tried.join(", ")
    )]
    Absent {
        /// Where it was looked for.
        tried: Vec<String>,
    },
    /// The file cannot be read.
    #[error("reading the configuration `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it says will not do.
    #[error("{}", Listing(path, problems))]
    Wrong {
        /// The file; `None` where there are only variables.
        path: Option<PathBuf>,
        /// Everything that is wrong, in the order written. Never empty.
        problems: Vec<Problem>,
    },
}

struct Listing<'a>(&'a Option<PathBuf>, &'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "reading the configuration `{}`: ", path.display())?,
            None => write!(f, "reading the configuration: ")?,
        }
        if let [only] = self.1 {
            return write!(f, "{only}");
        }
        write!(f, "{} problems", self.1.len())?;
        for problem in self.1 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
