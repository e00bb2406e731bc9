//! The system calls of the binary that concern its files: counted, written down, and one of them made to go wrong.
//!
//! ```ignore
//! let mut command = gate.command();
//! Calls::below(gate.dir()).log(&log).fault(117, Fault::Fails).watch(&mut command);
//! ```
//!
//! `calls.c` is compiled with `cc` and preloaded into the program, which reaches the system by way of libc (in test builds
//! `rustix` does too). `strace` can do some of this, but counts for each thread apart, and every store here has its own.

// A harness offers more than each test takes.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO.
    Fails,
    /// It fails with ENOSPC, if it is one that takes room.
    Full,
    /// It does not come back.
    Hangs,
    /// The process is killed before it takes effect.
    KilledBefore,
    /// The process is killed after it took effect.
    KilledAfter,
    /// The process is killed when half of it took effect.
    Torn,
}

impl Fault {
    fn word(self) -> &'static str {
        match self {
            Fault::Fails => "fails",
            Fault::Full => "full",
            Fault::Hangs => "hangs",
            Fault::KilledBefore => "killed-before",
            Fault::KilledAfter => "killed-after",
            Fault::Torn => "torn",
        }
    }
}

/// What is asked of `calls.c`.
pub struct Calls {
    variables: Vec<(&'static str, String)>,
}

impl Calls {
    /// Calls that concern what lies below a directory.
    pub fn below(dir: &Path) -> Calls {
        Calls {
            variables: vec![("CALLS_UNDER", dir.display().to_string())],
        }
    }

    /// Where they are written down.
    pub fn log(self, path: &Path) -> Calls {
        self.with("CALLS_LOG", path.display().to_string())
    }

    /// The n-th of them goes wrong; the first is 1.
    pub fn fault(self, nth: usize, fault: Fault) -> Calls {
        self.with("CALLS_NTH", nth.to_string())
            .with("CALLS_FAULT", fault.word().to_owned())
    }

    /// Not only the n-th does, but every one from there on, for as long as this file is there.
    pub fn for_as_long_as(self, file: &Path) -> Calls {
        self.with("CALLS_WHILE", file.display().to_string())
    }

    /// Makes it so for a command.
    pub fn watch(self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).envs(self.variables);
    }

    fn with(mut self, variable: &'static str, text: String) -> Calls {
        self.variables.push((variable, text));
        self
    }
}

/// A call, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub number: usize,
    pub name: String,
    /// What it concerned; of two paths, the one that things come to.
    pub path: PathBuf,
    pub effect: Effect,
}

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that is on disk changed.
    None,
    /// A file came to be.
    Created { inode: u64 },
    /// Bytes were written.
    Wrote { inode: u64, offset: usize, bytes: Vec<u8> },
    /// A file has so many bytes now.
    Resized { inode: u64, length: usize },
    /// A file or a directory is on disk.
    Synced { inode: u64 },
    /// What had this name has the call's path for a name now.
    Renamed { from: PathBuf },
    /// What has this name has the call's path for another.
    Linked { from: PathBuf },
    /// The name is gone.
    Removed,
    /// A directory came to be.
    MadeDir,
}

impl Call {
    /// Whether it changes what is there, or makes it last.
    pub fn has_effect(&self) -> bool {
        self.effect != Effect::None
    }
}

/// Reads what was written down. A process that was killed may have left half a line: that call did not take place.
pub fn read(log: &Path) -> Vec<Call> {
    let log = fs::read(log).unwrap_or_default();
    let mut rest = &log[..];
    let mut calls = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |place: usize| fields[place].parse::<i64>().expect("a number");
        let (name, result) = (fields[1].to_owned(), number(2));
        let path = |place: usize| PathBuf::from(fields[place]);
        let mut about = 3;
        let effect = match name.as_str() {
            _ if result < 0 => {
                // What it was about may be said in other words: the last one is a path, but for numbers behind it.
                about = fields.iter().rposition(|field| field.starts_with('/')).unwrap_or(3);
                Effect::None
            }
            "create" | "truncate" | "write" | "sync" => {
                about = 4;
                let inode = number(3) as u64;
                match name.as_str() {
                    "create" => Effect::Created { inode },
                    "sync" => Effect::Synced { inode },
                    "truncate" => Effect::Resized {
                        inode,
                        length: number(5) as usize,
                    },
                    _ => {
                        let length = number(6) as usize;
                        let Some(bytes) = rest.get(..length) else { break };
                        rest = &rest[length..];
                        Effect::Wrote {
                            inode,
                            offset: number(5) as usize,
                            bytes: bytes.to_vec(),
                        }
                    }
                }
            }
            "rename" | "link" => {
                about = 4;
                match name.as_str() {
                    "rename" => Effect::Renamed { from: path(3) },
                    _ => Effect::Linked { from: path(3) },
                }
            }
            "unlink" => Effect::Removed,
            "mkdir" => Effect::MadeDir,
            _ => Effect::None,
        };
        calls.push(Call {
            number: number(0) as usize,
            path: path(about),
            name,
            effect,
        });
    }
    calls
}

/// The library, compiled once for all tests of this process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(dir).expect("a directory for what tests build");
        let (source, library) = (dir.join("calls.c"), dir.join("calls.so"));
        // Two runs at a time must not see half of what the other writes.
        let beside = dir.join(format!("calls.{}", std::process::id()));
        fs::write(&beside, include_str!("calls.c")).expect("writing calls.c");
        fs::rename(&beside, source.clone()).expect("putting calls.c into place");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&beside)
            .arg(&source)
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("running the C compiler");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "compiling calls.c: {said}");
        fs::rename(&beside, &library).expect("putting calls.so into place");
        library
    })
}
