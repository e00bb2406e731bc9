//! OpenSSH's own `sshd` on 127.0.0.1, with a port, host keys and an account's directory of its own.
//!
//! Start one, drop files into its directory with ordinary file calls, and point the program at it:
//!
//! ```ignore
//! let sshd = Sshd::start();                           // lets the current user in, by key
//! std::fs::write(sshd.root().join("event_history_20191118170500.json.zip"), bytes)?;
//! let config = format!("state_dir = \"…\"\n\n[[source]]\nname = \"acme\"\nsettle = \"0s\"\n{}", sshd.toml());
//! let settings = sshd.settings();                     // the same, for `SftpSource::new`
//! ```
//!
//! [`Sshd::toml`] gives the keys of a `[[source]]` that say where it is and how to be let in: `url`, `host_key` and either
//! `private_key_file` or `password_file`. The account's directory is [`Sshd::root`] on this disk, and what `url` leads to.
//!
//! | start                            | account       | lets in by                    | needs root |
//! |----------------------------------|---------------|-------------------------------|------------|
//! | [`Sshd::start`]                  | the current   | key                           | no         |
//! | [`Sshd::with_password`]          | `feedgate-it` | password, keyboard-interactive | yes       |
//! | [`Sshd::keyboard_interactive`]   | `feedgate-it` | keyboard-interactive alone    | yes        |
//! | [`Sshd::chroot`]                 | `feedgate-it` | password; `internal-sftp` in a chroot, so that the root is `/` | yes |
//! | [`Sshd::start_with`]             | the current   | key, and lines of `sshd_config` of one's own | no |
//! | [`Sshd::odd`]                    | the current   | key; behind manners that OpenSSH does not have | no |
//!
//! [`Sshd::with_password_and`] takes lines of `sshd_config` as well. [`Sshd::stop`] and [`Sshd::restart`] end it and start
//! it again on the same port, sessions and all; [`Sshd::freeze`] and [`Sshd::thaw`] stop its processes without closing
//! anything; [`Sshd::log`] is what it said, [`Sshd::open_files`] what its sessions have open. For a network in between see
//! [`super::proxy`].
//!
//! Any number run at once, in one process or several. Each ends, with its sessions, when it is dropped; a test that fails
//! prints what it logged. `sshd` comes with Debian's `openssh-server`; the account is created by `useradd` and left there.

use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use feedgate::config::resolve::{PrivateKey, Secret, SftpSettings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The account of the variants that need a password.
pub const ACCOUNT: &str = "feedgate-it";

/// Its password.
pub const PASSWORD: &str = "correct horse, battery staple";

/// A running `sshd`.
pub struct Sshd {
    dir: TempDir,
    port: u16,
    user: String,
    root: PathBuf,
    /// The root as the account sees it.
    root_there: String,
    password: bool,
    child: Option<Child>,
}

impl Sshd {
    /// Lets the current user in by key.
    pub fn start() -> Sshd {
        Sshd::start_with("")
    }

    /// The same, with lines of `sshd_config` of one's own. They come first, and the first of a kind counts.
    pub fn start_with(lines: &str) -> Sshd {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().join("files");
        fs::create_dir(&root).expect("the account's directory");
        let root_there = root.display().to_string();
        Sshd::launch(
            dir,
            current("-un"),
            root,
            root_there,
            false,
            &format!("{lines}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"),
        )
    }

    /// Lets the current user in by key, to OpenSSH's sftp-server behind odd manners: see `python/odd_sftp.py`.
    pub fn odd(manners: &str) -> Sshd {
        let script = super::servers::script_path("odd_sftp.py");
        Sshd::start_with(&format!("Subsystem sftp python3 -B {} {manners}", script.display()))
    }

    /// Lets `feedgate-it` in by password or keyboard-interactive. Needs root.
    pub fn with_password() -> Sshd {
        Sshd::with_password_and("")
    }

    /// The same, with lines of `sshd_config` of one's own.
    pub fn with_password_and(lines: &str) -> Sshd {
        Sshd::account(&format!(
            "{lines}\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes\nUsePAM yes\n"
        ))
    }

    /// Lets `feedgate-it` in by keyboard-interactive alone. Needs root.
    pub fn keyboard_interactive() -> Sshd {
        Sshd::account(
            "AuthenticationMethods keyboard-interactive\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nUsePAM yes\n",
        )
    }

    /// Lets `feedgate-it` in by password, into a chroot with nothing but `internal-sftp`: its root is `/`. Needs root.
    pub fn chroot() -> Sshd {
        make_account();
        // Every directory above a chroot must be root's alone, which `/tmp` is not.
        let dir = tempfile::Builder::new()
            .prefix("feedgate-it-")
            .tempdir_in("/var/lib")
            .expect("a directory in /var/lib");
        open_to_all(dir.path());
        let jail = dir.path().join("jail");
        let root = jail.join("drop");
        fs::create_dir_all(&root).expect("the account's directory");
        give_to_account(&root);
        let lines = format!(
            "PasswordAuthentication yes\nUsePAM yes\nChrootDirectory {}\nForceCommand internal-sftp\n",
            jail.display()
        );
        Sshd::launch(dir, ACCOUNT.to_string(), root, "/drop".to_string(), true, &lines)
    }

    fn account(lines: &str) -> Sshd {
        make_account();
        let dir = tempfile::tempdir().expect("a temporary directory");
        open_to_all(dir.path());
        let root = dir.path().join("files");
        fs::create_dir(&root).expect("the account's directory");
        give_to_account(&root);
        let root_there = root.display().to_string();
        Sshd::launch(dir, ACCOUNT.to_string(), root, root_there, true, lines)
    }

    fn launch(dir: TempDir, user: String, root: PathBuf, root_there: String, password: bool, lines: &str) -> Sshd {
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let bits: &[&str] = if kind == "rsa" { &["-b", "2048"] } else { &[] };
            keygen(
                &dir.path().join(format!("host_{kind}")),
                &[&["-t", kind], bits].concat(),
            );
        }
        keygen(&dir.path().join("key"), &["-t", "ed25519"]);
        fs::copy(dir.path().join("key.pub"), dir.path().join("authorized_keys")).expect("authorized_keys");
        fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).expect("the password file");
        fs::write(dir.path().join("lines"), lines).expect("the configuration's own lines");
        // The privilege separation directory: compiled into sshd, and gone after every start of a container.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        let mut sshd = Sshd {
            dir,
            port: 0,
            user,
            root,
            root_there,
            password,
            child: None,
        };
        sshd.restart();
        sshd
    }

    /// The account's directory, on this disk.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with keys, configuration and log: `host_ed25519.pub`, `key`, `authorized_keys`, `password`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `sftp://user@127.0.0.1:port/root`.
    pub fn url(&self) -> String {
        format!("sftp://{}@127.0.0.1:{}{}", self.user, self.port, self.root_there)
    }

    /// `SHA256:…` of its Ed25519 key.
    pub fn host_key_pin(&self) -> String {
        self.host_key_pin_of("ed25519")
    }

    /// `SHA256:…` of one of its keys: `ed25519`, `ecdsa` or `rsa`. As `ssh-keygen` sees it, not as we do.
    pub fn host_key_pin_of(&self, kind: &str) -> String {
        let output = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.dir.path().join(format!("host_{kind}.pub")))
            .output();
        let text = String::from_utf8(output.expect("ssh-keygen").stdout).expect("text");
        text.split_whitespace().nth(1).expect("a fingerprint").to_string()
    }

    /// One of its keys, whole: `ssh-ed25519 AAAA…`.
    pub fn host_key_of(&self, kind: &str) -> String {
        let text = fs::read_to_string(self.dir.path().join(format!("host_{kind}.pub"))).expect("a host key");
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// The keys of a `[[source]]` that lead here: `url`, `host_key`, and what lets us in.
    pub fn toml(&self) -> String {
        let secret = match self.password {
            true => format!("password_file = \"{}\"", self.dir.path().join("password").display()),
            false => format!("private_key_file = \"{}\"", self.dir.path().join("key").display()),
        };
        format!(
            "url = \"{}\"\nhost_key = \"{}\"\n{secret}\n",
            self.url(),
            self.host_key_pin()
        )
    }

    /// The same as the program resolves it.
    pub fn settings(&self) -> SftpSettings {
        SftpSettings {
            host: "127.0.0.1".to_string(),
            port: self.port,
            user: self.user.clone(),
            root: self.root_there.clone(),
            password: self.password.then(|| Secret::new(PASSWORD)),
            private_key: (!self.password).then(|| private_key(&self.dir.path().join("key"), None)),
            agent: false,
            host_keys: vec![self.host_key_pin()],
            known_hosts: None,
        }
    }

    /// Lets another key in beside its own; the text of a `.pub` file.
    pub fn authorize(&self, public_key: &str) {
        let path = self.dir.path().join("authorized_keys");
        let text = fs::read_to_string(&path).expect("authorized_keys");
        fs::write(&path, format!("{text}{public_key}")).expect("authorized_keys");
    }

    /// Ends it, and every session with it, at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            self.signal(&child, Signal::KILL);
            child.wait().expect("sshd was ours to wait for");
        }
    }

    /// Starts it again, on the same port and with the same keys.
    pub fn restart(&mut self) {
        self.stop();
        for _ in 0..20 {
            let port = if self.port == 0 { free_port() } else { self.port };
            if self.try_start(port) {
                self.port = port;
                return;
            }
        }
        panic!("sshd does not start:\n{}", self.log());
    }

    /// Ends every session, and goes on listening: what an administrator does, or a server that thinks somebody idle.
    pub fn end_sessions(&self) {
        for pid in family(self.child.as_ref().expect("it runs").id()).into_iter().skip(1) {
            // Gone already is fine.
            kill_process(Pid::from_raw(pid as i32).expect("a process id"), Signal::KILL).ok();
        }
    }

    /// Stops every process of it without closing anything: connections stay, and nothing answers.
    pub fn freeze(&self) {
        self.signal(self.child.as_ref().expect("it runs"), Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(self.child.as_ref().expect("it runs"), Signal::CONT);
    }

    /// How many connections it serves, those included that are not let in yet: it has a process for each.
    pub fn sessions(&self) -> usize {
        let id = self.child.as_ref().expect("it runs").id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().count()
    }

    /// How many files and directories below the root its sessions have open.
    pub fn open_files(&self) -> usize {
        let mut count = 0;
        for pid in family(self.child.as_ref().expect("it runs").id()) {
            let Ok(links) = fs::read_dir(format!("/proc/{pid}/fd")) else {
                continue;
            };
            let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
            count += targets.filter(|target| target.starts_with(&self.root)).count();
        }
        count
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read(self.dir.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn signal(&self, child: &Child, signal: Signal) {
        for pid in family(child.id()) {
            // Gone already is fine.
            kill_process(Pid::from_raw(pid as i32).expect("a process id"), signal).ok();
        }
    }

    fn try_start(&mut self, port: u16) -> bool {
        let dir = self.dir.path();
        let lines = fs::read_to_string(dir.join("lines")).expect("the configuration's own lines");
        let here = dir.display();
        // The one keyword that may not be there twice.
        let subsystem = if lines.contains("Subsystem sftp") {
            ""
        } else {
            "Subsystem sftp internal-sftp"
        };
        let config = format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nPermitRootLogin yes\nUsePAM no\n\
             HostKey {here}/host_ed25519\nHostKey {here}/host_ecdsa\nHostKey {here}/host_rsa\n\
             AuthorizedKeysFile {here}/authorized_keys\nPubkeyAuthentication yes\nMaxStartups 500\nMaxSessions 500\n\
             LoginGraceTime 60\nLogLevel VERBOSE\nUseDNS no\n{subsystem}\n"
        );
        fs::write(dir.join("sshd_config"), config).expect("sshd_config");
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .expect("the log");
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("/usr/sbin/sshd (package openssh-server)");
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if child.try_wait().expect("sshd was ours to wait for").is_some() {
                return false; // somebody else took the port
            }
            if greets(port) {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        self.stop();
        false
    }
}

impl Drop for Sshd {
    #[expect(clippy::print_stdout, reason = "a test that fails prints what the server had to say")]
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            self.signal(child, Signal::CONT);
        }
        self.stop();
        if std::thread::panicking() {
            println!("sshd logged:\n{}", self.log());
        }
    }
}

/// A private key file as the configuration resolves it.
pub fn private_key(path: &Path, passphrase: Option<&str>) -> PrivateKey {
    PrivateKey {
        path: path.to_path_buf(),
        text: Secret::new(fs::read_to_string(path).expect("a private key")),
        passphrase: passphrase.map(Secret::new),
    }
}

/// Makes a key pair at `path` and `path.pub`. Without `-N` among the arguments it has no passphrase.
pub fn keygen(path: &Path, args: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-f"]).arg(path).args(args);
    if !args.contains(&"-N") {
        command.args(["-N", ""]);
    }
    assert!(command.status().expect("ssh-keygen").success());
}

/// A process and all that it started. Each session of sshd is a process group of its own, so the parents tell.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut seen = 0;
    while let Some(pid) = family.get(seen) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        seen += 1;
    }
    family
}

pub(super) fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Who runs the tests: `-un` the user, `-gn` the group.
pub(super) fn current(flag: &str) -> String {
    let output = Command::new("id").arg(flag).output().expect("id");
    String::from_utf8(output.stdout).expect("text").trim().to_string()
}

/// Creates the account, or finds it there. One process at a time: `useradd` locks the files, but does not wait long.
pub(super) fn make_account() {
    let lock = File::create(std::env::temp_dir().join("feedgate-it-account.lock")).expect("the lock");
    lock.lock().expect("the lock");
    let exists = Command::new("id")
        .args(["-u", ACCOUNT])
        .output()
        .expect("id")
        .status
        .success();
    if !exists {
        let added = Command::new("useradd")
            .args(["-M", "-d", "/", "-s", "/bin/sh", ACCOUNT])
            .status()
            .expect("useradd");
        assert!(added.success(), "useradd {ACCOUNT}: these tests need root");
    }
    let mut chpasswd = Command::new("chpasswd")
        .stdin(Stdio::piped())
        .spawn()
        .expect("chpasswd");
    let line = format!("{ACCOUNT}:{PASSWORD}\n");
    std::io::Write::write_all(chpasswd.stdin.as_mut().expect("its stdin"), line.as_bytes()).expect("chpasswd");
    assert!(chpasswd.wait().expect("chpasswd").success());
}

fn give_to_account(path: &Path) {
    let id = |flag: &str| -> u32 {
        let output = Command::new("id").args([flag, ACCOUNT]).output().expect("id");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .parse()
            .expect("a number")
    };
    chown(path, Some(id("-u")), Some(id("-g"))).expect("chown");
}

pub(super) fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}
