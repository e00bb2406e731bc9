//! OpenSSH's own `sshd` on 127.0.0.1, with keys and a directory of its own, as Debian configures it but for what that needs.
//!
//! Both sides of every comparison talk to it, with its defaults: ciphers, `internal-sftp`, its own buffers.

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A running `sshd`, until it is dropped.
pub struct Server {
    dir: PathBuf,
    root: PathBuf,
    port: u16,
    user: String,
    pin: String,
    child: Child,
}

impl Server {
    /// Starts one, with its files in `dir`; its account's directory is `root`. Its SFTP side logs at `level`.
    pub fn start(dir: &Path, root: &Path, level: &str) -> Result<Server> {
        fs::create_dir_all(dir)?;
        fs::create_dir_all(root)?;
        for key in ["host", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key));
            let made = keygen.status().context("running ssh-keygen (package openssh-client)")?;
            ensure!(made.success(), "ssh-keygen: {made}");
        }
        fs::copy(dir.join("key.pub"), dir.join("authorized_keys"))?;
        // The privilege separation directory: compiled into sshd, and gone after every start of a container.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").context("making /run/sshd")?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let here = dir.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nHostKey \"{here}/host\"\nStrictModes no\nUsePAM no\n\
             AuthorizedKeysFile \"{here}/authorized_keys\"\nPermitRootLogin yes\nPasswordAuthentication no\n\
             MaxStartups 100\nMaxSessions 100\nUseDNS no\nSubsystem sftp internal-sftp -l {level}\n"
        );
        fs::write(dir.join("sshd_config"), config)?;
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("log"))?)
            .spawn()
            .context("starting /usr/sbin/sshd (package openssh-server)")?;
        let mut server = Server {
            dir: dir.to_owned(),
            root: root.to_owned(),
            port,
            user: said_by("id", &["-un"])?,
            pin: pin(&dir.join("host.pub"))?,
            child,
        };
        server.wait_for_it()?;
        Ok(server)
    }

    /// The account's directory, on this disk.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The port without a proxy in between.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who is let in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The private key that lets in.
    pub fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// The keys of a `[[source]]` that leads here, over that port.
    pub fn source(&self, port: u16) -> String {
        let root = self.root.to_string_lossy().replace('%', "%25").replace(' ', "%20");
        format!(
            "url = \"sftp://{}@127.0.0.1:{port}{root}\"\nhost_key = \"{}\"\nprivate_key_file = '{}'\n",
            self.user,
            self.pin,
            self.key().display()
        )
    }

    /// OpenSSH's options to be let in by: for `sftp`, and for those who call `ssh`.
    pub fn ssh_options(&self) -> Vec<String> {
        let key = format!("IdentityFile={}", self.key().display());
        let options = [
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            &key,
        ];
        let mut all = vec!["-F".to_string(), "/dev/null".to_string()];
        all.extend(
            options
                .iter()
                .flat_map(|option| ["-o".to_string(), (*option).to_string()]),
        );
        all
    }

    /// OpenSSH's own client, over that port, with a batch of commands.
    pub fn sftp(&self, port: u16, batch: &str) -> Result<Command> {
        let file = self.dir.join("batch");
        fs::write(&file, batch)?;
        let mut command = Command::new("sftp");
        command
            .args(self.ssh_options())
            .arg("-q")
            .args(["-P", &port.to_string(), "-b"]);
        command.arg(file).arg(format!("{}@127.0.0.1", self.user));
        command.stdout(Stdio::null());
        Ok(command)
    }

    /// Empties the account's directory, and lays files into it.
    pub fn hold(&self, files: &[PathBuf]) -> Result<()> {
        fs::remove_dir_all(&self.root)?;
        fs::create_dir(&self.root)?;
        for file in files {
            let there = self.root.join(file.file_name().context("a file without a name")?);
            // A link: it is only read and renamed, and the data stays in the page cache for all that is compared.
            fs::hard_link(file, &there).with_context(|| format!("linking {}", there.display()))?;
        }
        Ok(())
    }

    /// What it has logged so far; at `INFO` a line for every file that is opened, among others.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_for_it(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait()? {
                bail!("sshd: {status}: {}", self.log());
            }
            let mut greeting = [0; 4];
            let greets = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut it| it.read_exact(&mut greeting));
            if greets.is_ok() && &greeting == b"SSH-" {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("sshd does not answer: {}", self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Sessions end with their clients, and those have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `SHA256:…` of a public key.
fn pin(key: &Path) -> Result<String> {
    let line = said_by("ssh-keygen", &["-lf", &key.to_string_lossy()])?;
    let pin = line
        .split_whitespace()
        .nth(1)
        .context("ssh-keygen shows no fingerprint")?;
    Ok(pin.to_string())
}

/// What a program prints.
pub fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("running {program}"))?;
    ensure!(output.status.success(), "{program}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
