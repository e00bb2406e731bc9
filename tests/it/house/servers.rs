//! SFTP servers that are not OpenSSH, each as its makers ship it, on 127.0.0.1 with a port, a host key and an account's
//! directory of its own.
//!
//! ```ignore
//! let Some(server) = Server::start(Make::ProFtpd) else { return };   // said aloud: it was not tried
//! std::fs::write(server.root().join("event_history_20191118170500.json.zip"), bytes)?;
//! let source = SftpSource::new("acme", &server.settings(), TIMEOUT);
//! ```
//!
//! | make       | comes with                                   | account                    | lets in by    | needs root |
//! |------------|----------------------------------------------|----------------------------|---------------|------------|
//! | `ProFtpd`  | Debian's proftpd-core, proftpd-mod-crypto    | `acme`, of its own file    | key, password | no         |
//! | `Dropbear` | Debian's dropbear-bin; OpenSSH's sftp-server | `feedgate-it`, the system's | password     | yes        |
//! | `AsyncSsh` | asyncssh, from the Python registry           | `acme`                     | key, password | no         |
//! | `Paramiko` | paramiko, from the Python registry           | `acme`                     | key, password | no         |
//!
//! `tests/run` installs what is missing, and starts none of the services that come along. [`Server::stop`] and
//! [`Server::restart`] end it and start it again on the same port. Each ends, with its sessions, when it is dropped; a test
//! that fails prints what it logged.

// A harness offers more than each test takes.
#![allow(dead_code)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use feedgate::config::resolve::{Secret, SftpSettings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::sshd::{
    ACCOUNT, PASSWORD, Sshd, current, family, free_port, greets, keygen, make_account, open_to_all, private_key,
};

/// [`PASSWORD`] as ProFTPD's `AuthUserFile` wants it: by `openssl passwd -6`.
const PASSWORD_HASH: &str =
    "$6$CKR2ChWWcDnh9lKa$/19idJHhIu/Kqvf3t2UhelaCH3qM4eVI/X/LGE81Hd5dFnCoKiyatFo4.mrsvnX4mzhxcip1hSemhGGQ6YP0n/";

/// What a story needs of a server, whoever made it.
pub trait Serves {
    /// The account's directory, on this disk.
    fn root(&self) -> &Path;
    /// The port on 127.0.0.1.
    fn port(&self) -> u16;
    /// The keys of a `[[source]]` that lead there.
    fn toml(&self) -> String;
    /// Ends it and starts it again, on the same port.
    fn restart(&mut self);
}

impl Serves for Server {
    fn root(&self) -> &Path {
        self.root()
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn toml(&self) -> String {
        self.toml()
    }

    fn restart(&mut self) {
        self.restart();
    }
}

impl Serves for Sshd {
    fn root(&self) -> &Path {
        self.root()
    }

    fn port(&self) -> u16 {
        self.port()
    }

    fn toml(&self) -> String {
        self.toml()
    }

    fn restart(&mut self) {
        self.restart();
    }
}

/// Who made a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Make {
    ProFtpd,
    Dropbear,
    AsyncSsh,
    Paramiko,
}

/// A running server.
pub struct Server {
    make: Make,
    dir: TempDir,
    root: PathBuf,
    port: u16,
    by_password: bool,
    child: Option<Child>,
}

impl Server {
    /// Lets its account in by key, or by password where it cannot do otherwise. `None`, and said aloud, where there is no such
    /// server on this machine.
    pub fn start(make: Make) -> Option<Server> {
        Server::launch(make, make == Make::Dropbear)
    }

    /// Lets its account in by password.
    pub fn with_password(make: Make) -> Option<Server> {
        Server::launch(make, true)
    }

    /// One that is shared by all who want one of this make now: for tests that keep to a directory of their own below its root.
    pub fn shared(make: Make) -> Option<Arc<Server>> {
        static SHARED: Mutex<Vec<(Make, Weak<Server>)>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let running = shared.iter().find(|(other, _)| *other == make);
        if let Some(server) = running.and_then(|(_, server)| server.upgrade()) {
            return Some(server);
        }
        let server = Arc::new(Server::start(make)?);
        shared.retain(|(other, _)| *other != make);
        shared.push((make, Arc::downgrade(&server)));
        Some(server)
    }

    #[expect(clippy::print_stdout, reason = "what was not tried must not pass for tried")]
    fn launch(make: Make, by_password: bool) -> Option<Server> {
        if let Err(missing) = make.is_here() {
            println!("NOT TRIED: {make:?}: {missing}");
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        open_to_all(dir.path());
        let root = dir.path().join("files");
        fs::create_dir(&root).expect("the account's directory");
        // Whoever the account is: tests put files there as the user they run as.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).expect("chmod");
        keygen(&dir.path().join("host_ed25519"), &["-t", "ed25519"]);
        keygen(&dir.path().join("key"), &["-t", "ed25519"]);
        fs::copy(dir.path().join("key.pub"), dir.path().join("authorized_keys")).expect("authorized_keys");
        fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).expect("the password file");
        if make == Make::Dropbear {
            make_account();
        }
        let mut server = Server {
            make,
            dir,
            root,
            port: 0,
            by_password,
            child: None,
        };
        server.restart();
        Some(server)
    }

    /// The account's directory, on this disk.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root as the account sees it.
    pub fn root_there(&self) -> String {
        match self.make {
            Make::AsyncSsh | Make::Paramiko => "/".to_string(),
            Make::ProFtpd if rustix::process::geteuid().is_root() => "/".to_string(),
            Make::ProFtpd | Make::Dropbear => self.root.display().to_string(),
        }
    }

    /// `SHA256:…` of its only host key.
    pub fn host_key_pin(&self) -> String {
        let output = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(self.dir.path().join("host_ed25519.pub"))
            .output();
        let text = String::from_utf8(output.expect("ssh-keygen").stdout).expect("text");
        text.split_whitespace().nth(1).expect("a fingerprint").to_string()
    }

    /// The keys of a `[[source]]` that lead here.
    pub fn toml(&self) -> String {
        let (key, file) = match self.by_password {
            true => ("password_file", "password"),
            false => ("private_key_file", "key"),
        };
        format!(
            "url = \"sftp://{}@127.0.0.1:{}{}\"\nhost_key = \"{}\"\n{key} = \"{}\"\n",
            self.user(),
            self.port,
            self.root_there(),
            self.host_key_pin(),
            self.dir.path().join(file).display()
        )
    }

    /// The same as the program resolves it.
    pub fn settings(&self) -> SftpSettings {
        SftpSettings {
            host: "127.0.0.1".to_string(),
            port: self.port,
            user: self.user().to_string(),
            root: self.root_there(),
            password: self.by_password.then(|| Secret::new(PASSWORD)),
            private_key: (!self.by_password).then(|| private_key(&self.dir.path().join("key"), None)),
            agent: false,
            host_keys: vec![self.host_key_pin()],
            known_hosts: None,
        }
    }

    /// Ends it, and every session with it, at once.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        for pid in family(child.id()) {
            // Gone already is fine.
            kill_process(Pid::from_raw(pid as i32).expect("a process id"), Signal::KILL).ok();
        }
        child.wait().expect("the server was ours to wait for");
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
        panic!("{:?} does not start:\n{}", self.make, self.log());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let logged = fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&logged).into_owned()
    }

    fn user(&self) -> &'static str {
        match self.make {
            Make::Dropbear => ACCOUNT,
            _ => "acme",
        }
    }

    fn try_start(&mut self, port: u16) -> bool {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("the log");
        let mut child = self
            .command(port)
            // The Python servers end when this pipe does, and nobody ever writes into it.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starting the server");
        let patience = Instant::now() + Duration::from_secs(60);
        while Instant::now() < patience {
            if child.try_wait().expect("the server was ours to wait for").is_some() {
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

    fn command(&self, port: u16) -> Command {
        let dir = self.dir.path();
        match self.make {
            Make::ProFtpd => {
                fs::write(dir.join("proftpd.conf"), self.proftpd_conf(port)).expect("proftpd.conf");
                let mut command = Command::new(PROFTPD);
                command.args(["-n", "-c"]).arg(dir.join("proftpd.conf"));
                command
            }
            Make::Dropbear => {
                let key = dir.join("host_dropbear");
                if !key.exists() {
                    let mut convert = Command::new("dropbearconvert");
                    convert
                        .args(["openssh", "dropbear"])
                        .arg(dir.join("host_ed25519"))
                        .arg(&key);
                    assert!(convert.output().expect("dropbearconvert").status.success());
                }
                let mut command = Command::new(DROPBEAR);
                command.args(["-F", "-E", "-r"]).arg(key);
                command.arg("-p").arg(format!("127.0.0.1:{port}"));
                command.arg("-P").arg(dir.join("pid"));
                command
            }
            Make::AsyncSsh => python_server("asyncssh_server.py", dir, port),
            Make::Paramiko => python_server("paramiko_server.py", dir, port),
        }
    }

    fn proftpd_conf(&self, port: u16) -> String {
        let dir = self.dir.path();
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let account = format!(
            "acme:{PASSWORD_HASH}:{}:{}::{}:/bin/sh\n",
            uid.as_raw(),
            gid.as_raw(),
            self.root.display()
        );
        fs::write(dir.join("accounts"), account).expect("the accounts");
        fs::set_permissions(dir.join("accounts"), fs::Permissions::from_mode(0o600)).expect("chmod");
        let mut export = Command::new("ssh-keygen");
        export.args(["-e", "-m", "RFC4716", "-f"]).arg(dir.join("key.pub"));
        let exported = export.output().expect("ssh-keygen").stdout;
        fs::write(dir.join("authorized_keys.4716"), exported).expect("the authorized keys");
        let chroot = if uid.is_root() { "DefaultRoot ~" } else { "" };
        let here = dir.display();
        format!(
            "ModulePath /usr/lib/proftpd\nLoadModule mod_sftp.c\nServerType standalone\nPort {port}\nDefaultAddress 127.0.0.1\n\
             SocketBindTight on\nUseReverseDNS off\nUser {user}\nGroup {group}\nRootLogin on\nRequireValidShell off\n\
             AuthOrder mod_auth_file.c\nAuthUserFile {here}/accounts\nPidFile {here}/pid\nScoreboardFile none\n\
             DelayEngine off\nWtmpLog off\nUseFtpUsers off\nMaxInstances none\nSystemLog {here}/log\nAllowOverwrite on\n\
             {chroot}\nSFTPEngine on\nSFTPLog {here}/log\nSFTPHostKey {here}/host_ed25519\n\
             SFTPAuthorizedUserKeys file:{here}/authorized_keys.4716\n",
            user = current("-un"),
            group = current("-gn"),
        )
    }
}

impl Drop for Server {
    #[expect(clippy::print_stdout, reason = "a test that fails prints what the server had to say")]
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            println!("{:?} logged:\n{}", self.make, self.log());
        }
    }
}

const PROFTPD: &str = "/usr/sbin/proftpd";
const DROPBEAR: &str = "/usr/sbin/dropbear";

impl Make {
    /// Whether it can be started here; else what is missing.
    fn is_here(self) -> Result<(), &'static str> {
        let wanted = |here: bool, missing| if here { Ok(()) } else { Err(missing) };
        let file = |path: &str| Path::new(path).exists();
        match self {
            Make::ProFtpd => wanted(
                file(PROFTPD) && file("/usr/lib/proftpd/mod_sftp.so"),
                "Debian's proftpd-core and proftpd-mod-crypto are not installed",
            ),
            Make::Dropbear if !rustix::process::geteuid().is_root() => Err("it needs root"),
            Make::Dropbear => wanted(file(DROPBEAR), "Debian's dropbear-bin is not installed"),
            Make::AsyncSsh => wanted(python_has("asyncssh"), "asyncssh is not in target/python"),
            Make::Paramiko => wanted(python_has("paramiko"), "paramiko is not in target/python"),
        }
    }
}

/// The Python that `tests/run` has set up.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python")
}

fn python_has(module: &str) -> bool {
    let mut find = Command::new(python());
    find.args([
        "-c",
        "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))",
        module,
    ]);
    find.output().is_ok_and(|output| output.status.success())
}

fn python_server(script: &str, dir: &Path, port: u16) -> Command {
    let mut command = Command::new(python());
    // No bytecode is left beside the script.
    command
        .arg("-B")
        .arg(script_path(script))
        .arg(dir)
        .arg(port.to_string());
    command
}

/// A script of the harness.
pub fn script_path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/house/python")
        .join(script)
}
