//! The demo's world: a directory with the partner's account, a configuration and the daemon's state; an SFTP server in this
//! process, and the real daemon in another.
//!
//! The daemon is this very executable, started as an operator would start it: what the demo shows is the daemon itself over
//! SFTP, not a likeness. When the value is dropped the daemon is ended and, unless it is to be kept, the directory removed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::keys::{KeyPair, password};
use super::{Account, Server, Setup};

/// The partner's user name, and the name of the source.
pub const PARTNER: &str = "partner";

/// How long the daemon may take to finish after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Everything the demo needs, running.
pub struct World {
    // Dropped in this order: the daemon before the server it talks to, the directory last.
    daemon: Daemon,
    server: Server,
    password: String,
    dir: Directory,
}

impl World {
    /// Makes the world in `keep`, or in a temporary directory, and starts the server and the daemon.
    pub fn start(keep: Option<&Path>) -> anyhow::Result<World> {
        let dir = match keep {
            Some(path) => Directory::kept(path)?,
            None => Directory::temporary()?,
        };
        for name in ["sftp", "state"] {
            DirBuilder::new()
                .mode(0o700)
                .create(dir.join(name))
                .with_context(|| format!("creating `{name}`"))?;
        }
        let (key, password) = (KeyPair::generate("feedgate demo"), password());
        let server = Server::start(Setup {
            accounts: vec![Account {
                user: PARTNER.to_owned(),
                password: Some(password.clone()),
                key: Some(key.clone()),
                dir: dir.join("sftp"),
            }],
            ..Setup::default()
        })
        .context("starting the demo's SFTP server on 127.0.0.1")?;
        write(&dir.join("key"), &key.private_openssh())?;
        write(&dir.join("key.pub"), &(key.public_openssh() + "\n"))?;
        write(&dir.join("known_hosts"), &(server.known_hosts_line() + "\n"))?;
        write(&dir.join("feedgate.toml"), &configuration(&dir, &server))?;
        let daemon = Daemon::start(&dir)?;
        Ok(World {
            daemon,
            server,
            password,
            dir,
        })
    }

    /// The SFTP server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The partner's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where the world lies.
    pub fn dir(&self) -> &Path {
        &self.dir.path
    }

    /// Where something of the world lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Runs a command of Feedgate's beside the daemon, as an operator would, and returns what it printed. Exit code 1 means
    /// that something needs attention, which in this world is always so.
    pub async fn feedgate(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let doing = || format!("running `feedgate {}`", arguments.join(" "));
        let mut command = feedgate(&self.dir, arguments)?;
        let run = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
        let output = run.await.with_context(doing)?.with_context(doing)?;
        match output.status.code() {
            Some(0 | 1) => Ok(output.stdout),
            _ => bail!("{}: {}", doing(), String::from_utf8_lossy(&output.stderr).trim()),
        }
    }

    /// The daemon's process id.
    pub fn daemon_id(&self) -> u32 {
        self.daemon.0.id()
    }

    /// An error if the daemon is no longer running.
    pub fn check_daemon(&mut self) -> anyhow::Result<()> {
        match self.daemon.0.try_wait().context("looking after the daemon")? {
            Some(status) => bail!("the daemon ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// The last lines of the daemon's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.dir.join(LOG)).unwrap_or_else(|e| format!("(reading the daemon's log: {e})"))
    }
}

/// Where the daemon's log goes.
pub const LOG: &str = "daemon.log";

/// The configuration of the demo's daemon: an ordinary one, but in a hurry.
fn configuration(dir: &Directory, server: &Server) -> String {
    let quoted = |path: PathBuf| text(&path.to_string_lossy());
    format!(
        "# Written by `feedgate demo`. An ordinary configuration, but in a hurry.\n\
         state_dir = {state}\n\
         \n\
         [[source]]\n\
         name = \"{PARTNER}\"\n\
         url = \"sftp://{PARTNER}@127.0.0.1:{port}/\"\n\
         private_key_file = {key}\n\
         host_key = {host_key}\n\
         poll_interval = \"500ms\"   # usually 15s\n\
         settle = \"1s\"             # usually 5s\n\
         incomplete_grace = \"4s\"   # usually 10m\n\
         \n\
         [[destination]]\n\
         name = \"events\"\n\
         type = \"sqlite\"\n\
         path = {events}\n",
        state = quoted(dir.join("state")),
        port = server.addr().port(),
        key = quoted(dir.join("key")),
        host_key = text(&server.host_key_fingerprint()),
        events = quoted(dir.join("events.db")),
    )
}

/// A TOML string. What JSON escapes, TOML reads; and a delete character in a path is nobody's.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// A file that only its owner may read, since some of them are keys.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing `{}`", path.display()))
}

/// A command of this executable's, on this world's configuration and on nothing else.
fn feedgate(dir: &Directory, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this executable")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FEEDGATE_")) {
        command.env_remove(name);
    }
    command.args(arguments).arg("-c").arg(dir.join("feedgate.toml"));
    Ok(command)
}

/// The daemon's process; ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(dir: &Directory) -> anyhow::Result<Daemon> {
        let log = File::create(dir.join(LOG)).context("creating the daemon's log")?;
        let child = feedgate(dir, &["run", "--log-format", "text"])?
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing the daemon's log")?)
            .stderr(log)
            .spawn()
            .context("starting the daemon")?;
        Ok(Daemon(child))
    }

    /// Asks it to end, and waits; sees to it after a while.
    fn end(&mut self) {
        let Ok(None) = self.0.try_wait() else { return };
        let asked = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.0);
        let heard = rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok();
        while heard && asked.elapsed() < GRACE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both fail only if it has ended meanwhile.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// The world's directory; removed when dropped, unless it is to be kept.
struct Directory {
    path: PathBuf,
    keep: bool,
}

impl Directory {
    fn kept(path: &Path) -> anyhow::Result<Directory> {
        let doing = || format!("making the demo's world in `{}`", path.display());
        fs::create_dir_all(path).with_context(doing)?;
        if fs::read_dir(path).with_context(doing)?.next().is_some() {
            bail!(
                "{}: the directory is not empty; give one that is empty or does not exist",
                doing()
            );
        }
        let path = fs::canonicalize(path).with_context(doing)?;
        Ok(Directory { path, keep: true })
    }

    fn temporary() -> anyhow::Result<Directory> {
        let path = std::env::temp_dir().join(format!("feedgate-demo-{:08x}", fastrand::u32(..)));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("making the demo's world in `{}`", path.display()))?;
        let path = fs::canonicalize(&path).context("finding the temporary directory")?;
        Ok(Directory { path, keep: false })
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now cannot be removed at all; the system empties its temporary directory in time.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// The last lines of a log, at most 4 KiB.
fn log_tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(4096);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (from, text.split_once('\n')) {
        (1.., Some((_, whole_lines))) => whole_lines.to_owned(),
        _ => text,
    })
}
