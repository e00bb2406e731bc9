//! How partners upload: the programs they use, each as it is called for one file.
//!
//! What a machine does not have is said aloud and left out; `tests/run` installs all of them.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::*;

/// One way to upload a file into a directory of the account.
pub struct Client {
    /// Its name, in messages.
    pub name: &'static str,
    /// The program, for `--version`.
    program: &'static str,
    command: fn(&Sshd, &Upload) -> Command,
}

/// What is to be uploaded.
pub struct Upload {
    /// The file at home.
    pub from: PathBuf,
    /// The directory, on the server.
    pub to: PathBuf,
}

impl Upload {
    fn name(&self) -> String {
        self.from.file_name().expect("a name").to_string_lossy().into_owned()
    }

    fn target(&self) -> PathBuf {
        self.to.join(self.name())
    }
}

impl Client {
    /// Uploads, and answers whether the client was content. One that looks at its file afterwards may find it put away.
    pub fn upload(&self, sshd: &Sshd, upload: &Upload) -> bool {
        let mut command = (self.command)(sshd, upload);
        let output = command.stdin(Stdio::null()).output();
        output
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
            .status
            .success()
    }
}

/// All that this machine has.
#[allow(clippy::print_stdout, reason = "what is not tried must be said")]
pub fn clients() -> Vec<Client> {
    let (mut here, mut missing) = (Vec::new(), Vec::new());
    for client in all() {
        match is_here(client.program) {
            true => here.push(client),
            false => missing.push(client.name),
        }
    }
    if !missing.is_empty() {
        println!("NOT TRIED, since they are not on this machine (`tests/run` installs them): {missing:?}");
    }
    here
}

/// Whether a program is on this machine.
pub fn is_here(program: &str) -> bool {
    let mut command = match program {
        "paramiko" => python("import paramiko", &[]),
        // These know no question that they answer by success.
        "sftp" | "scp" => return true,
        _ => Command::new(program),
    };
    if program != "paramiko" {
        command.arg("--version");
    }
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// OpenSSH's own client in a directory of the server, with a batch of commands. `-l 2000` is 250 kB/s.
pub fn sftp(sshd: &Sshd, dir: &Path, options: &[&str], batch: &str) -> Command {
    let mut command = Command::new("sh");
    // The batch comes on its standard input.
    command.args(["-c", "printf %s \"$0\" | \"$@\"", batch, "sftp", "-q", "-b", "-"]);
    command.args(["-P", &sshd.port().to_string()]).args(options);
    command
        .args(ssh_options(sshd))
        .arg(format!("{}:{}", login(sshd), dir.display()));
    command.stdout(Stdio::null());
    command
}

/// rclone, with its remote written `REMOTE`.
pub fn rclone(sshd: &Sshd, dir: &Path, args: &[&str]) -> Command {
    let remote = format!(
        ":sftp,host=127.0.0.1,port={},user={},key_file={},shell_type=unix:{}",
        sshd.port(),
        user(sshd),
        key(sshd),
        dir.display()
    );
    let mut command = Command::new("rclone");
    command
        .env("HOME", sshd.dir())
        .args(["--retries", "2", "--low-level-retries", "2"]);
    command.args(args.iter().map(|arg| arg.replace("REMOTE", &remote)));
    command
}

fn all() -> Vec<Client> {
    let client = |name, program, command| Client { name, program, command };
    vec![
        client("sftp", "sftp", |sshd, upload| put(sshd, upload, &[], "put")),
        client("sftp -l", "sftp", |sshd, upload| {
            put(sshd, upload, &["-l", "8000"], "put")
        }),
        client("sftp, put -p", "sftp", |sshd, upload| put(sshd, upload, &[], "put -p")),
        client("sftp -l, put -p", "sftp", |sshd, upload| {
            put(sshd, upload, &["-l", "8000"], "put -p")
        }),
        client("sftp, put -f", "sftp", |sshd, upload| put(sshd, upload, &[], "put -f")),
        client("sftp, begun and resumed", "sftp", resumed),
        client("sftp, renamed", "sftp", |sshd, upload| {
            let (from, name) = (upload.from.display(), upload.name());
            let batch = format!("put {from} {name}.filepart\nrename {name}.filepart {name}\n");
            sftp(sshd, &upload.to, &[], &batch)
        }),
        client("scp", "scp", |sshd, upload| scp(sshd, upload, &["-p"])),
        client("scp -O", "scp", |sshd, upload| scp(sshd, upload, &["-O"])),
        client("scp -O -p", "scp", |sshd, upload| scp(sshd, upload, &["-O", "-p"])),
        client("lftp, put", "lftp", |sshd, upload| {
            lftp(sshd, upload, &format!("put {}", upload.from.display()))
        }),
        client("lftp, put -c", "lftp", |sshd, upload| {
            lftp(sshd, upload, &format!("put -c {}", upload.from.display()))
        }),
        client("lftp, temporary name", "lftp", |sshd, upload| {
            lftp(
                sshd,
                upload,
                &format!("set xfer:use-temp-file yes; put {}", upload.from.display()),
            )
        }),
        client("lftp, mirror", "lftp", |sshd, upload| {
            let home = upload.from.parent().expect("a directory").display();
            lftp(
                sshd,
                upload,
                &format!("mirror -R --parallel=2 --include {} {home} .", upload.name()),
            )
        }),
        client("rclone", "rclone", |sshd, upload| {
            rclone(
                sshd,
                &upload.to,
                &["copy", &upload.from.display().to_string(), "REMOTE"],
            )
        }),
        client("rclone, no hashes", "rclone", |sshd, upload| {
            let from = upload.from.display().to_string();
            rclone(sshd, &upload.to, &["copy", "--sftp-disable-hashcheck", &from, "REMOTE"])
        }),
        client("rsync", "rsync", |sshd, upload| rsync(sshd, upload, "--times")),
        client("rsync --inplace", "rsync", |sshd, upload| {
            rsync(sshd, upload, "--inplace")
        }),
        client("rsync --append", "rsync", |sshd, upload| {
            rsync(sshd, upload, "--append")
        }),
        client("curl", "curl", |sshd, upload| {
            let mut command = Command::new("curl");
            command.args([
                "-sS",
                "-k",
                "-u",
                &format!("{}:", user(sshd)),
                "--key",
                &key(sshd),
                "--pubkey",
            ]);
            command.arg(format!("{}.pub", key(sshd))).arg("-T").arg(&upload.from);
            command.arg(format!("sftp://127.0.0.1:{}{}", sshd.port(), upload.target().display()));
            command
        }),
        client("paramiko", "paramiko", |sshd, upload| {
            paramiko(sshd, upload, "sftp.put(here, there)")
        }),
        client("paramiko, old time", "paramiko", |sshd, upload| {
            paramiko(
                sshd,
                upload,
                "sftp.put(here, there, confirm=False); sftp.utime(there, (17e8, 17e8))",
            )
        }),
        client("paramiko, allocated", "paramiko", |sshd, upload| {
            paramiko(sshd, upload, ALLOCATED)
        }),
        client("cp", "cp", |_, upload| local("cp", upload)),
        client("cp -p", "cp", |_, upload| local("cp -p", upload)),
        client("dd", "dd", |_, upload| {
            local("dd bs=7000 conv=fsync status=none", upload)
        }),
    ]
}

/// The size first, then the zip's end, then the rest from the beginning.
const ALLOCATED: &str = "
data = open(here, 'rb').read()
end = max(len(data) - 3000, 0)
with sftp.open(there, 'w') as file:
    file.truncate(len(data))
    file.seek(end)
    file.write(data[end:])
    file.flush()
    time.sleep(0.3)
    file.seek(0)
    for at in range(0, end, 32768):
        file.write(data[at:min(at + 32768, end)])
        time.sleep(0.01)
";

fn put(sshd: &Sshd, upload: &Upload, options: &[&str], verb: &str) -> Command {
    sftp(
        sshd,
        &upload.to,
        options,
        &format!("{verb} {}\n", upload.from.display()),
    )
}

/// The first kilobyte, a rest, and then what is missing.
fn resumed(sshd: &Sshd, upload: &Upload) -> Command {
    let beginning = upload.from.with_extension("beginning");
    let bytes = fs::read(&upload.from).expect("what is sent");
    fs::write(&beginning, &bytes[..bytes.len().min(1000)]).expect("its beginning");
    let (from, beginning, name) = (upload.from.display(), beginning.display(), upload.name());
    let batch = format!("put {beginning} {name}\n!sleep 0.7\nreput {from}\n");
    sftp(sshd, &upload.to, &[], &batch)
}

fn scp(sshd: &Sshd, upload: &Upload, options: &[&str]) -> Command {
    let mut command = Command::new("scp");
    command
        .args(["-q", "-P", &sshd.port().to_string()])
        .args(options)
        .args(ssh_options(sshd));
    command
        .arg(&upload.from)
        .arg(format!("{}:{}/", login(sshd), upload.to.display()));
    command
}

fn lftp(sshd: &Sshd, upload: &Upload, script: &str) -> Command {
    let (user, port, to) = (user(sshd), sshd.port(), upload.to.display());
    let settings = "set net:max-retries 2; set net:reconnect-interval-base 1";
    let script = format!(
        "set sftp:connect-program \"{}\"; {settings}; open -u {user}, sftp://127.0.0.1:{port}; cd {to}; {script}",
        ssh(sshd)
    );
    let mut command = Command::new("lftp");
    command.env("HOME", sshd.dir()).args(["-c", &script]);
    command
}

fn rsync(sshd: &Sshd, upload: &Upload, option: &str) -> Command {
    let mut command = Command::new("rsync");
    command
        .args(["-e", &format!("{} -p {}", ssh(sshd), sshd.port()), option])
        .arg(&upload.from);
    command.arg(format!("{}:{}/", login(sshd), upload.to.display()));
    command
}

fn paramiko(sshd: &Sshd, upload: &Upload, does: &str) -> Command {
    let connects = "
import paramiko, sys, time
port, user, key, here, there = sys.argv[1:]
ssh = paramiko.SSHClient()
ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
ssh.connect('127.0.0.1', int(port), user, key_filename=key, allow_agent=False, look_for_keys=False)
sftp = ssh.open_sftp()
";
    let port = sshd.port().to_string();
    let (from, to) = (upload.from.display().to_string(), upload.target().display().to_string());
    python(
        &format!("{connects}{does}\n"),
        &[&port, &user(sshd), &key(sshd), &from, &to],
    )
}

/// The Python that `tests/run` sets up, or the system's.
fn python(script: &str, args: &[&str]) -> Command {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let mut command = Command::new(if ours.exists() { ours } else { "python3".into() });
    command.arg("-c").arg(script).args(args);
    command
}

/// A command on the server's own machine.
fn local(command: &str, upload: &Upload) -> Command {
    let script = match command.starts_with("dd") {
        true => format!("{command} if=\"$0\" of=\"$1\""),
        false => format!("{command} \"$0\" \"$1\""),
    };
    let mut command = Command::new("sh");
    command
        .arg0("sh")
        .args(["-c", &script])
        .arg(&upload.from)
        .arg(upload.target());
    command
}

fn ssh(sshd: &Sshd) -> String {
    format!("ssh -a -x {}", ssh_options(sshd).join(" "))
}

fn ssh_options(sshd: &Sshd) -> Vec<String> {
    let options = [
        "-i",
        &key(sshd),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ];
    options.map(str::to_owned).to_vec()
}

fn key(sshd: &Sshd) -> String {
    sshd.dir().join("key").display().to_string()
}

fn login(sshd: &Sshd) -> String {
    format!("{}@127.0.0.1", user(sshd))
}

fn user(sshd: &Sshd) -> String {
    let url = sshd.url();
    let user = url.trim_start_matches("sftp://").split('@').next().expect("a user");
    user.to_owned()
}
