//! Being let in, and being told why not.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use feedgate::config::resolve::{Secret, SftpSettings};
use feedgate::source::{SftpSource, Source, SourceError};

use super::{TIMEOUT, expect_error};
use crate::house::sshd::{Sshd, keygen, private_key};

/// What a listing with these settings comes to: the number of files, or the error.
async fn list(settings: &SftpSettings) -> Result<usize, SourceError> {
    let source = SftpSource::new("acme", settings, TIMEOUT);
    let listed = source.list().await.map(|files| files.len());
    source.close().await;
    listed
}

#[tokio::test]
async fn keys_of_every_type() {
    let sshd = Sshd::start();
    std::fs::write(sshd.root().join("a.zip"), "a").unwrap();
    let types: [(&str, &[&str]); 8] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa 256", &["-t", "ecdsa", "-b", "256"]),
        ("ecdsa 384", &["-t", "ecdsa", "-b", "384"]),
        ("ecdsa 521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa in PEM", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("rsa in PKCS 8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
        ("ecdsa in PEM", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
    ];
    for (index, (what, args)) in types.iter().enumerate() {
        for passphrase in [None, Some("open \"sesame\" ünï")] {
            let path = sshd.dir().join(format!("key-{index}-{}", passphrase.is_some()));
            let mut args = args.to_vec();
            args.extend(passphrase.map(|passphrase| ["-N", passphrase]).into_iter().flatten());
            keygen(&path, &args);
            sshd.authorize(&std::fs::read_to_string(path.with_extension("pub")).unwrap());
            let settings = SftpSettings {
                private_key: Some(private_key(&path, passphrase)),
                ..sshd.settings()
            };
            assert_eq!(list(&settings).await, Ok(1), "{what}, passphrase: {passphrase:?}");
        }
    }
    // RSA with SHA-2, not with SHA-1, which OpenSSH would refuse today and must not be asked for.
    assert!(!sshd.log().contains("signature algorithm ssh-rsa"), "{}", sshd.log());
}

#[tokio::test]
async fn a_key_that_is_not_authorized() {
    let sshd = Sshd::start();
    let path = sshd.dir().join("stranger");
    keygen(&path, &["-t", "ed25519"]);
    let settings = SftpSettings {
        private_key: Some(private_key(&path, None)),
        ..sshd.settings()
    };
    expect_error(
        list(&settings).await,
        "barred",
        &["stranger", "not accepted", "the server offers publickey"],
    );
}

#[tokio::test]
async fn keys_that_cannot_be_used() {
    let sshd = Sshd::start();
    for (index, args) in [["-t", "ed25519"], ["-t", "rsa"], ["-t", "ecdsa"]].iter().enumerate() {
        let path = sshd.dir().join(format!("locked{index}"));
        keygen(&path, &[args[0], args[1], "-N", "right"]);
        sshd.authorize(&std::fs::read_to_string(path.with_extension("pub")).unwrap());
        for (passphrase, words) in [
            (Some("wrong-passphrase"), "is the passphrase right"),
            (None, "does it need a passphrase"),
        ] {
            let settings = SftpSettings {
                private_key: Some(private_key(&path, passphrase)),
                ..sshd.settings()
            };
            let outcome = list(&settings).await;
            assert!(!format!("{outcome:?}").contains("wrong-passphrase"));
            expect_error(outcome, "barred", &["locked", words]);
        }
    }
    let rubbish = sshd.dir().join("rubbish");
    for text in [
        "",
        "no key at all",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    ] {
        std::fs::write(&rubbish, text).unwrap();
        let settings = SftpSettings {
            private_key: Some(private_key(&rubbish, None)),
            ..sshd.settings()
        };
        expect_error(list(&settings).await, "barred", &["rubbish", "OpenSSH or PEM"]);
    }
}

#[tokio::test]
async fn a_password() {
    let sshd = Sshd::with_password();
    assert_eq!(list(&sshd.settings()).await, Ok(0), "{}", sshd.log());
    let wrong = SftpSettings {
        password: Some(Secret::new("guess-1234")),
        ..sshd.settings()
    };
    let outcome = list(&wrong).await;
    assert!(!format!("{outcome:?}").contains("guess-1234"));
    expect_error(
        outcome,
        "barred",
        &["password: not accepted", "keyboard-interactive: not accepted", "offers"],
    );
    let none = SftpSettings {
        password: None,
        ..sshd.settings()
    };
    expect_error(
        list(&none).await,
        "barred",
        &["nothing that is configured is offered", "password"],
    );
}

#[tokio::test]
async fn keyboard_interactive_alone() {
    let sshd = Sshd::keyboard_interactive();
    assert_eq!(list(&sshd.settings()).await, Ok(0), "{}", sshd.log());
    let wrong = SftpSettings {
        password: Some(Secret::new("guess")),
        ..sshd.settings()
    };
    expect_error(list(&wrong).await, "barred", &["keyboard-interactive: not accepted"]);
}

#[tokio::test]
async fn a_key_that_is_refused_and_a_password_that_is_not() {
    let sshd = Sshd::with_password();
    let path = sshd.dir().join("key");
    let settings = SftpSettings {
        user: "feedgate-it".into(),
        private_key: Some(private_key(&path, None)),
        ..sshd.settings()
    };
    std::fs::write(sshd.dir().join("authorized_keys"), "").unwrap();
    assert_eq!(list(&settings).await, Ok(0), "{}", sshd.log());
}

#[tokio::test]
async fn a_key_and_a_password_both_wanted() {
    let sshd = Sshd::with_password_and("AuthenticationMethods publickey,password publickey,keyboard-interactive");
    let path = sshd.dir().join("key");
    let settings = SftpSettings {
        private_key: Some(private_key(&path, None)),
        ..sshd.settings()
    };
    assert_eq!(list(&settings).await, Ok(0), "{}", sshd.log());
    let without = SftpSettings {
        private_key: None,
        ..settings
    };
    expect_error(list(&without).await, "barred", &["the server offers publickey"]);
}

#[tokio::test]
async fn a_chroot_with_internal_sftp() {
    let sshd = Sshd::chroot();
    std::fs::write(sshd.root().join("a.zip"), "a").unwrap();
    assert_eq!(list(&sshd.settings()).await, Ok(1), "{}", sshd.log());
    let absent = SftpSettings {
        root: "/elsewhere".into(),
        ..sshd.settings()
    };
    expect_error(list(&absent).await, "absent", &["listing `/elsewhere`"]);
    let relative = SftpSettings {
        root: "drop".into(),
        ..sshd.settings()
    };
    assert_eq!(list(&relative).await, Ok(1));
    // The top of the chroot is not the account's to write to.
    let top = SftpSource::new(
        "acme",
        &SftpSettings {
            root: ".".into(),
            ..sshd.settings()
        },
        TIMEOUT,
    );
    expect_error(
        top.make_dirs("processed").await,
        "refused",
        &["creating `processed`", "ermission denied"],
    );
    expect_error(top.write("receipt", b"x").await, "refused", &["writing `receipt`"]);
}

#[tokio::test]
async fn an_account_whose_shell_prints_before_sftp() {
    let sshd = Sshd::start_with("ForceCommand echo Welcome to ACME");
    expect_error(list(&sshd.settings()).await, "lost", &["Welcome to ACME"]);
}

#[tokio::test]
async fn an_account_without_sftp() {
    let sshd = Sshd::start_with("ForceCommand true");
    expect_error(
        list(&sshd.settings()).await,
        "lost",
        &["ended the session at once", "is SFTP allowed"],
    );
    let sshd = Sshd::start_with("Subsystem other /bin/true\nSubsystem sftp /absent/sftp-server");
    expect_error(list(&sshd.settings()).await, "lost", &["starting SFTP"]);
}

/// An `ssh-agent` with keys, ended when dropped.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path, key: &Path) -> Agent {
        let agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent");
        while !socket.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", socket)
            .status()
            .expect("ssh-add");
        assert!(added.success());
        Agent(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0
            .kill()
            .and_then(|()| self.0.wait())
            .expect("the agent was ours to end");
    }
}

/// `SSH_AUTH_SOCK` belongs to the whole process, so this one runs itself again in a process of its own.
#[test]
#[expect(clippy::print_stdout, reason = "how the inner process tells the outer one")]
fn an_agent() {
    const INSIDE: &str = "FEEDGATE_IT_AGENT_SETTINGS";
    if let Ok(packed) = std::env::var(INSIDE) {
        let (port, pin, user, root) = serde_json::from_str::<(u16, String, String, String)>(&packed).unwrap();
        let settings = SftpSettings {
            host: "127.0.0.1".into(),
            port,
            user,
            root,
            password: None,
            private_key: None,
            agent: true,
            host_keys: vec![pin],
            known_hosts: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        match runtime.block_on(list(&settings)) {
            Ok(count) => println!("listed {count}"),
            Err(error) => println!("{error}"),
        }
        return;
    }
    let sshd = Sshd::start();
    let settings = sshd.settings();
    let packed = serde_json::to_string(&(settings.port, sshd.host_key_pin(), settings.user, settings.root)).unwrap();
    let run = |socket: Option<&Path>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "sources::authentication::an_agent", "--nocapture"])
            .env(INSIDE, &packed);
        match socket {
            Some(socket) => command.env("SSH_AUTH_SOCK", socket),
            None => command.env_remove("SSH_AUTH_SOCK"),
        };
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let socket = sshd.dir().join("agent");
    let agent = Agent::start(&socket, &sshd.dir().join("key"));
    let said = run(Some(&socket));
    assert!(said.contains("listed 0"), "{said}");
    let stranger = sshd.dir().join("stranger");
    keygen(&stranger, &["-t", "ed25519"]);
    let other_socket = sshd.dir().join("other");
    let other = Agent::start(&other_socket, &stranger);
    let said = run(Some(&other_socket));
    assert!(said.contains("agent: none of its 1 keys accepted"), "{said}");
    drop((agent, other));
    for socket in [Some(socket.as_path()), None] {
        let said = run(socket);
        assert!(said.contains("agent:") && said.contains("SSH_AUTH_SOCK"), "{said}");
    }
}
