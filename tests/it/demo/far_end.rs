//! The scripted far end: faults strike where they are laid, and OpenSSH's client notices.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::wait_until;
use crate::house::far_end::{FarEnd, Fault, Op, StatusCode};

/// OpenSSH's client against the scripted far end.
fn sftp_to(far: &FarEnd, batch: &str) -> std::process::Child {
    let dir = far.key_file().parent().unwrap().to_owned();
    let mut child = Command::new("sftp")
        .args([
            "-F",
            "none",
            "-b",
            "-",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-P", &far.port().to_string(), "-i"])
        .arg(far.key_file())
        .arg("acme@127.0.0.1")
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
    child
}

#[test]
fn faults_strike_where_they_are_laid() {
    let mut far = FarEnd::start();
    let got = far.key_file().with_file_name("got");
    let bytes = vec![7; 300_000];
    far.upload("a", &bytes);
    let succeeds = |far: &FarEnd, batch: &str| sftp_to(far, batch).wait().unwrap().success();

    far.always(Op::Read, Fault::Short(1_000))
        .latency(Duration::from_millis(5));
    assert!(succeeds(&far, "get a got\n"));
    assert_eq!(fs::read(&got).unwrap(), bytes);
    assert!(far.count(Op::Read) >= 300);

    far.forget();
    far.on(Op::Open, 2, Fault::Answer(StatusCode::PermissionDenied));
    assert!(succeeds(&far, "get a got\n-get a got\nget a got\n"));
    assert!(!succeeds(&far, "get b got\n"));
    assert_eq!(far.count(Op::Open), 3);

    far.forget();
    far.on(Op::PosixRename, 1, Fault::CutBefore)
        .on(Op::PosixRename, 2, Fault::CutAfter);
    assert!(!succeeds(&far, "rename a b\n"));
    assert_eq!(far.names(""), ["a"]);
    assert!(!succeeds(&far, "rename a b\n"));
    assert_eq!(far.names(""), ["b"]);
    let renames: Vec<_> = far
        .journal()
        .into_iter()
        .filter(|seen| seen.op == Op::PosixRename)
        .collect();
    assert_eq!((renames[1].path.as_str(), renames[1].to.as_deref()), ("/a", Some("/b")));

    for fault in [Fault::Stall, Fault::LoseReply] {
        far.forget();
        far.on_path(Op::MkDir, "/d", 1, fault);
        let mut hanging = sftp_to(&far, "-mkdir c\nmkdir d\n");
        wait_until("the request came", || far.count(Op::MkDir) == 2);
        assert_eq!(hanging.try_wait().unwrap(), None, "no reply, and no end");
        far.cut_all();
        assert!(!hanging.wait().unwrap().success());
    }
    assert_eq!(far.names(""), ["b", "c", "d"]);

    far.forget();
    far.stop();
    assert!(!succeeds(&far, "ls\n"));
    let known = far.host_key();
    far.restart();
    assert!(succeeds(&far, "ls\n"));
    assert_eq!(far.host_key(), known);
    far.restart_with_another_host_key();
    assert!(succeeds(&far, "ls\n"));
    assert_ne!(far.host_key(), known);
}
