//! What every figure needs: data, a place to work in, a server, and the race itself.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::feedgate::Feedgate;
use crate::generator;
use crate::run::{self, Cost};
use crate::server::Server;
use crate::table::Found;

/// Changes when the generator does: what it made before is not used any more.
const GENERATION: &str = "1";

/// What a working directory's name begins with; the process it belongs to follows.
const WORK: &str = "work-";

/// Entries of the archives that are small.
pub const SMALL_ENTRIES: usize = 20;

/// One series of figures.
pub struct Bench {
    /// The program that is measured.
    pub program: PathBuf,
    /// A tenth of the data.
    pub quick: bool,
    runs: usize,
    data: PathBuf,
    work: TempDir,
    directories: Cell<usize>,
    server: OnceCell<Server>,
    /// What each of our own runs took, and what it was.
    ours: RefCell<Vec<(String, Cost)>>,
}

/// Somebody in a race.
pub struct Contender<'a> {
    name: String,
    is_ours: bool,
    run: Box<dyn FnMut() -> Result<Cost> + 'a>,
}

/// Not on this machine, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotHad(pub String);

impl Bench {
    /// With its data in `data`, where it stays for the next time.
    pub fn new(program: &Path, data: &Path, runs: usize, quick: bool) -> Result<Bench> {
        let data = data.join(GENERATION);
        fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
        sweep(&data)?;
        Ok(Bench {
            program: program.to_owned(),
            quick,
            runs,
            // On the same disk as the data: archives are linked, not copied.
            work: tempfile::Builder::new()
                .prefix(&format!("{WORK}{}-", std::process::id()))
                .tempdir_in(&data)?,
            data,
            directories: Cell::new(0),
            server: OnceCell::new(),
            ours: RefCell::new(Vec::new()),
        })
    }

    /// So many of something, or a tenth of it.
    pub fn many(&self, count: usize) -> usize {
        if self.quick { count / 10 } else { count }
    }

    /// One archive of so many entries, made at the first need.
    pub fn archive(&self, entries: usize) -> Result<PathBuf> {
        let dir = self.kept(&format!("archive-{entries}"))?;
        let path = dir.join(generator::archive_name(0));
        if !path.exists() {
            crate::say(&format!("making an archive of {entries} entries, once"));
            generator::archive(&path, 0, entries)?;
        }
        Ok(path)
    }

    /// So many archives of [`SMALL_ENTRIES`] entries each.
    pub fn small(&self, count: usize) -> Result<Vec<PathBuf>> {
        let dir = self.kept("small")?;
        let paths: Vec<PathBuf> = (0..count)
            .map(|number| dir.join(generator::archive_name(number)))
            .collect();
        for (number, path) in paths.iter().enumerate().filter(|(_, path)| !path.exists()) {
            generator::archive(path, number, SMALL_ENTRIES)?;
        }
        Ok(paths)
    }

    /// A directory that stays for the next time.
    pub fn kept(&self, name: &str) -> Result<PathBuf> {
        let dir = self.data.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// A new empty directory; the last one of that name is removed.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let number = self.directories.get();
        self.directories.set(number + 1);
        let all = self.work.path().join(name);
        // Not there the first time.
        fs::remove_dir_all(&all).ok();
        let dir = all.join(number.to_string());
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// The SFTP server.
    pub fn server(&self) -> Result<&Server> {
        if self.server.get().is_none() {
            let started = Server::start(&self.work.path().join("sshd"), &self.work.path().join("root"), "ERROR")?;
            self.server.set(started).ok();
        }
        self.server.get().context("it was started just now")
    }

    /// The keys of a `[[source]]` that is a local directory, with that archive in it.
    pub fn local(&self, archive: &Path) -> Result<String> {
        let root = self.fresh("root-here")?;
        let name = archive.file_name().context("an archive without a name")?;
        fs::hard_link(archive, root.join(name))?;
        Ok(format!("url = \"file://{}\"\n", root.display()))
    }

    /// Feedgate with an empty ledger.
    pub fn feedgate(&self, source: &str, more: &str) -> Result<Feedgate> {
        Feedgate::new(&self.program, &self.fresh("feedgate")?, source, more)
    }

    /// Runs any other command.
    pub fn run(&self, command: &mut Command) -> Result<Cost> {
        run::run(command, &[0], &self.work.path().join("said"))
    }

    /// Bare inflation of an archive's member, by this program.
    pub fn inflate(&self, archive: &Path) -> Result<Cost> {
        self.run(Command::new(std::env::current_exe()?).arg("--inflate").arg(archive))
    }

    /// Lets all run in turn, several times, so that what else happens on the machine happens to all; and takes medians. One that
    /// fails is out of the race.
    pub fn race<const N: usize>(&self, mut contenders: [Contender<'_>; N]) -> [Found; N] {
        let mut costs = [const { Vec::new() }; N];
        let mut out = [const { None::<Found> }; N];
        for _ in 0..self.runs {
            for (index, contender) in contenders.iter_mut().enumerate() {
                if out[index].is_some() {
                    continue;
                }
                match (contender.run)() {
                    Ok(cost) => {
                        let (wall, cpu) = (cost.wall.as_secs_f64(), cost.cpu.as_secs_f64());
                        crate::say(&format!("{}: {wall:.3} s, {cpu:.2} s of CPU", contender.name));
                        if contender.is_ours {
                            self.ours.borrow_mut().push((contender.name.clone(), cost));
                        }
                        costs[index].push(cost);
                    }
                    Err(error) => {
                        crate::say(&format!("{}: {error:#}", contender.name));
                        out[index] = Some(match error.downcast::<NotHad>() {
                            Ok(NotHad(why)) => Found::NotHad(why),
                            Err(error) => Found::Failed(format!("{error:#}")),
                        });
                    }
                }
            }
        }
        std::array::from_fn(|index| out[index].take().unwrap_or_else(|| Found::Cost(medians(&costs[index]))))
    }

    /// The run of ours with the highest peak.
    pub fn highest(&self) -> Option<(String, Cost)> {
        self.ours.borrow().iter().max_by_key(|(_, cost)| cost.peak).cloned()
    }
}

impl<'a> Contender<'a> {
    /// Somebody to be compared with.
    pub fn other(name: &str, run: impl FnMut() -> Result<Cost> + 'a) -> Contender<'a> {
        Contender {
            name: name.to_string(),
            is_ours: false,
            run: Box::new(run),
        }
    }

    /// Feedgate.
    pub fn ours(name: &str, run: impl FnMut() -> Result<Cost> + 'a) -> Contender<'a> {
        Contender {
            is_ours: true,
            ..Contender::other(name, run)
        }
    }
}

/// Removes what series that were killed have left behind.
fn sweep(data: &Path) -> Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(WORK).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The median times, each by itself, and the highest peak.
fn medians(costs: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> Duration| {
        let mut sorted: Vec<Duration> = costs.iter().map(of).collect();
        sorted.sort();
        (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2
    };
    Cost {
        wall: median(|cost| cost.wall),
        cpu: median(|cost| cost.cpu),
        peak: costs.iter().map(|cost| cost.peak).max().unwrap_or(0),
    }
}
