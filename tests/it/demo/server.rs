//! The demo's server, against OpenSSH's own client.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use feedgate::demo::keys::KeyPair;
use feedgate::demo::{Account, Server, Setup};

use super::{run, text, wait_until};

/// A server with one account, and what OpenSSH's client needs to get in.
struct Site {
    house: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn open() -> Site {
        let house = tempfile::tempdir().unwrap();
        let dir = house.path().join("root");
        fs::create_dir(&dir).unwrap();
        let key = KeyPair::generate("somebody");
        fs::write(house.path().join("key"), key.private_openssh()).unwrap();
        fs::set_permissions(house.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let account = Account {
            user: "partner".to_owned(),
            password: Some("open sesame".to_owned()),
            key: Some(key),
            dir,
        };
        let server = Server::start(Setup {
            accounts: vec![account],
            ..Setup::default()
        })
        .unwrap();
        fs::write(house.path().join("known_hosts"), server.known_hosts_line() + "\n").unwrap();
        Site { house, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.house.path().join(name)
    }

    fn root(&self, name: &str) -> PathBuf {
        self.path("root").join(name)
    }

    fn ssh_options(&self, command: &mut Command) {
        let known_hosts = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", &known_hosts]);
        command.args(["-P", &self.server.addr().port().to_string()]);
    }

    /// What OpenSSH's `sftp` makes of a batch, with the key.
    fn sftp(&self, batch: &str) -> Output {
        let mut command = Command::new("sftp");
        self.ssh_options(&mut command);
        command
            .args(["-b", "-", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.path("key"))
            .arg("partner@127.0.0.1");
        run(command, self.house.path(), batch)
    }

    /// The same with a password, which OpenSSH asks a program for.
    fn sftp_with_password(&self, user: &str, password: &str, batch: &str) -> Output {
        let asked = self.path("askpass");
        fs::write(&asked, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&asked, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("sftp");
        self.ssh_options(&mut command);
        command.args([
            "-o",
            "PreferredAuthentications=password",
            "-o",
            "NumberOfPasswordPrompts=1",
        ]);
        command
            .env("SSH_ASKPASS", &asked)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .arg(format!("{user}@127.0.0.1"));
        run(command, self.house.path(), batch)
    }
}

#[test]
fn openssh_puts_gets_and_tidies_up() {
    let site = Site::open();
    let bytes = pattern(3_000_001);
    fs::write(site.path("here"), &bytes).unwrap();
    fs::set_permissions(site.path("here"), fs::Permissions::from_mode(0o640)).unwrap();

    let done = site.sftp(
        "put -p here there\nget -p there back\nmkdir sub\nrename there sub/moved\nls -l sub\nls\npwd\nput here sub/second\n\
         -rename sub/second nowhere/x\nrm sub/second\ncd sub\nget moved ../again\nput -f here synced\nrm synced\n",
    );
    let said = text(&done);
    assert!(done.status.success(), "{said}");
    assert_eq!(fs::read(site.path("back")).unwrap(), bytes);
    assert_eq!(fs::read(site.root("sub/moved")).unwrap(), bytes);
    let (here, there) = (
        fs::metadata(site.path("here")).unwrap(),
        fs::metadata(site.root("sub/moved")).unwrap(),
    );
    assert_eq!(here.permissions().mode() & 0o777, there.permissions().mode() & 0o777);
    let seconds = |found: &fs::Metadata| {
        found
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    assert_eq!(seconds(&here), seconds(&there));
    assert!(said.contains("-rw-r-----") && said.contains("3000001"), "{said}");
    assert!(said.contains("No such file or directory"), "{said}");
    assert!(!site.root("sub/second").exists() && !site.root("sub/synced").exists());

    let done = site.sftp("rm sub/moved\nrmdir sub\n");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(fs::read_dir(site.path("root")).unwrap().count(), 0);
}

#[test]
fn a_rename_never_goes_over_another_but_for_posix_rename() {
    let site = Site::open();
    fs::write(site.root("a"), "a").unwrap();
    fs::write(site.root("b"), "b").unwrap();
    // `rename -l` is the protocol's own; without it OpenSSH uses `posix-rename@openssh.com` where the server has it.
    let refused = site.sftp("rename -l a b\n");
    assert!(!refused.status.success());
    assert!(text(&refused).contains("Failure"), "{}", text(&refused));
    assert_eq!(fs::read(site.root("b")).unwrap(), b"b");

    let done = site.sftp("rename a b\n");
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(fs::read(site.root("b")).unwrap(), b"a");
    assert!(!site.root("a").exists());
}

#[test]
fn nobody_gets_out_of_the_account() {
    let site = Site::open();
    fs::write(site.path("secret"), "s").unwrap();
    std::os::unix::fs::symlink("../secret", site.root("link")).unwrap();
    std::os::unix::fs::symlink("..", site.root("up")).unwrap();
    let refused = |batch: &str, why: &str| {
        let output = site.sftp(batch);
        assert!(!output.status.success(), "{batch}: {}", text(&output));
        assert!(text(&output).contains(why), "{batch}: {}", text(&output));
    };
    fs::write(site.path("evil"), "evil").unwrap();
    refused("get ../../../secret got\n", "not found");
    refused("get link got\n", "ermission denied");
    refused("get up/secret got\n", "not found");
    refused("put evil link\n", "ermission denied");
    refused("put evil up/new\n", "ermission denied");
    refused("ln -s /etc/passwd p\n", "unsupported");
    assert_eq!(fs::read(site.path("secret")).unwrap(), b"s");
    assert!(!site.path("got").exists() && !site.path("new").exists());
}

#[test]
fn a_password_is_as_good_as_a_key_and_a_wrong_one_is_not() {
    let site = Site::open();
    let pwd = |user: &str, password: &str| site.sftp_with_password(user, password, "pwd\n");
    let right = pwd("partner", "open sesame");
    assert!(
        right.status.success() && text(&right).contains("working directory: /"),
        "{}",
        text(&right)
    );
    for (user, password) in [("partner", "open"), ("partner", ""), ("somebody", "open sesame")] {
        let wrong = pwd(user, password);
        assert!(!wrong.status.success(), "{user} {password}: {}", text(&wrong));
        assert!(text(&wrong).contains("Permission denied"), "{}", text(&wrong));
    }
    let other = KeyPair::generate("other");
    fs::write(site.path("key"), other.private_openssh()).unwrap();
    let wrong = site.sftp("pwd\n");
    assert!(text(&wrong).contains("Permission denied"), "{}", text(&wrong));
}

#[test]
fn a_long_listing_comes_whole() {
    let site = Site::open();
    for i in 0..1_234 {
        fs::write(site.root(&format!("f{i:05}")), "").unwrap();
    }
    let listed = site.sftp("ls -1\n");
    assert_eq!(text(&listed).matches("\nf").count(), 1_234);
}

#[test]
fn a_client_that_vanishes_leaves_nothing_open() {
    let site = Site::open();
    fs::write(site.root("big"), pattern(1 << 20)).unwrap();
    let mut command = Command::new("sftp");
    site.ssh_options(&mut command);
    command
        .args(["-o", "IdentitiesOnly=yes", "-i"])
        .arg(site.path("key"))
        .arg("partner@127.0.0.1");
    // OpenSSH's client is killed in the middle of a session, as by a lid that is shut.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the client is in", || site.server.connections() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("it is gone", || site.server.connections() == 0);
    assert!(site.sftp("ls\n").status.success());
    wait_until("the next is gone too", || site.server.connections() == 0);
}

#[test]
fn rubbish_on_the_port_hurts_nobody() {
    let site = Site::open();
    for rubbish in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &[0xff; 70_000],
        b"",
        b"SSH-2.0-x\r\n\xff\xff\xff\xff",
    ] {
        let mut stream = std::net::TcpStream::connect(site.server.addr()).unwrap();
        // It may close on us while we write, which is an answer.
        stream.write_all(rubbish).ok();
    }
    assert!(site.sftp("ls\n").status.success());
    wait_until("they are gone", || site.server.connections() == 0);
}

/// Bytes that show where they were torn apart.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}
