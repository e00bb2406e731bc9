//! A day with each of the servers that are not OpenSSH as we know it best: looked at, fed with good and bad archives, cut off,
//! and told to delete.

use super::*;
use crate::house::proxy::Proxy;
use crate::house::servers::{Make, Server, Serves};

#[test]
fn proftpd() {
    a_day_with(Server::start(Make::ProFtpd));
}

#[test]
fn proftpd_by_password() {
    a_look_at(Server::with_password(Make::ProFtpd));
}

#[test]
fn dropbear() {
    a_day_with(Server::start(Make::Dropbear));
}

#[test]
fn asyncssh() {
    a_day_with(Server::start(Make::AsyncSsh));
}

#[test]
fn asyncssh_by_password() {
    a_look_at(Server::with_password(Make::AsyncSsh));
}

#[test]
fn paramiko() {
    a_day_with(Server::start(Make::Paramiko));
}

#[test]
fn paramiko_by_password() {
    a_look_at(Server::with_password(Make::Paramiko));
}

#[test]
fn openssh_in_a_chroot() {
    a_day_with(Some(Sshd::chroot()));
}

#[test]
fn openssh_that_denies_what_is_not_in_the_document() {
    let denied = "posix-rename,hardlink,statvfs,fstatvfs,fsync,lsetstat,limits,expand-path,copy-data";
    let lines = format!("Subsystem sftp /usr/lib/openssh/sftp-server -P {denied}");
    a_day_with(Some(Sshd::start_with(&lines)));
}

#[test]
fn openssh_with_few_file_descriptors() {
    let lines = "Subsystem sftp ulimit -n 16; exec /usr/lib/openssh/sftp-server -P limits";
    a_day_with(Some(Sshd::start_with(lines)));
}

/// A gate with one source, as quick as tests want it.
fn gate_with(keys: &str) -> Gate {
    let mut gate = Gate::new();
    gate.source_toml("acme", keys);
    gate.destination_sqlite("events");
    gate
}

/// `check` finds the source well. A server that cannot be had here has said so, and `None` is all there is of it.
fn a_look_at<S: Serves>(server: Option<S>) {
    let Some(server) = server else { return };
    drop_into(server.root(), MONDAY, &feed("a", 1));
    let check = gate_with(&server.toml()).cli(["check"]);
    assert_eq!(check.code, 0, "{check}");
    assert!(check.stdout.contains("source acme: well, 1 file"), "{check}");
    assert_eq!(files(server.root()), [name_of(MONDAY)], "and has changed nothing");
}

fn a_day_with<S: Serves>(server: Option<S>) {
    let Some(mut server) = server else { return };
    let root = server.root().to_path_buf();
    let proxy = Proxy::to(server.port());
    let through = server
        .toml()
        .replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let gate = gate_with(&through);
    let check = gate.cli(["check"]);
    assert_eq!(check.code, 0, "{check}");

    // Many good ones, and one that is not.
    let good: Vec<String> = (0..40)
        .map(|second| {
            drop_into(
                &root,
                &format!("202602020000{second:02}"),
                &feed(&format!("a{second:02}"), 2),
            )
        })
        .collect();
    let bad = drop_into(&root, TUESDAY, "[{]");
    let daemon = gate.run();
    gate.wait_for_imports(41);
    for name in &good {
        assert_eq!(wait_for_disposition(&gate, name, "moved")["status"], "processed");
    }
    let failed = wait_for_disposition(&gate, &bad, "left");
    assert_eq!(
        (&failed["status"], &failed["violations"][0]["code"]),
        (&"failed".into(), &"json_syntax".into())
    );
    assert_eq!(files(&root), std::slice::from_ref(&bad));
    assert_eq!(files(&root.join("processed")), good);
    assert_eq!(files(&root.join("receipts")).len(), 41);
    assert_eq!(wait_for_events(&gate, 80).len(), 80);

    // The same name again, with something else in it: beside the first, and with a receipt in place of the first.
    let receipt_path = root.join("receipts").join(format!("{}.receipt.json", good[0]));
    let receipt = fs::read(&receipt_path).unwrap();
    drop_into(&root, "20260202000000", &feed("again", 1));
    gate.wait_for_imports(42);
    wait_until("a second archive put away", || {
        files(&root.join("processed")).len() == 41
    });
    wait_until("another receipt", || {
        fs::read(&receipt_path).is_ok_and(|now| now != receipt)
    });
    assert_eq!(wait_for_events(&gate, 81).len(), 81);

    // The line is cut in the middle of a download; and the server ends and comes back.
    let connections = proxy.accepted();
    proxy.cut_after(1_500_000);
    put(&root, &name_of(WEDNESDAY), &large_archive(WEDNESDAY, "large", 3000));
    assert_eq!(wait_for_events(&gate, 3081).len(), 3081);
    assert!(proxy.accepted() > connections, "it was cut");
    server.restart();
    drop_into(&root, "20260204010000", &feed("after", 1));
    assert_eq!(wait_for_events(&gate, 3082).len(), 3082);
    let large = wait_for_disposition(&gate, &name_of(WEDNESDAY), "moved");
    assert_eq!(large["status"], "processed");
    wait_for_recovery(&gate, "acme");
    assert_spool_is_tidy(&gate);
    assert_eq!(daemon.stop().code, 0);
    assert_eq!(imports_of(&gate, &name_of(WEDNESDAY)).len(), 1);

    // Another gate deletes what it has read.
    let deleting = gate_with(&format!("{}after = \"delete\"\n", server.toml()));
    let name = drop_into(&root, "20260205000000", &feed("b", 1));
    let once = deleting.once();
    assert_eq!(deleting.import(&name)["disposition"], "deleted", "{once}");
    assert_eq!(files(&root), [bad]);
    assert_eq!(files(&root.join("processed")).len(), 43);
}

/// A feed beside names that are no names: it is imported, and they are counted, or failed once, and never shown raw.
#[test]
fn garbage_beside_a_feed() {
    let near_miss = b"event_history_\xff\n\x1b[31m.json.zip";
    let odd: [&[u8]; 4] = [near_miss, b"\xfe", b"../event_history", b""];
    let hex = |name: &[u8]| name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let manners: String = odd.iter().map(|name| format!(" also={}", hex(name))).collect();
    let sshd = Sshd::odd(&manners);
    let gate = gate_with(&format!("{}failed_dir = \"failed\"\n", sshd.toml()));
    let name = drop_into(sshd.root(), MONDAY, &feed("a", 1));
    let mut said = String::new();
    for _ in 0..3 {
        let once = gate.once();
        said.push_str(&once.stderr);
    }
    assert_eq!(wait_for_disposition(&gate, &name, "moved")["status"], "processed");
    let status = gate.status();
    let imports = status["imports"].as_array().unwrap();
    assert_eq!(imports.len(), 2, "the near miss failed once: {imports:#?}");
    let shown = "event_history_\\xff\n\u{1b}[31m.json.zip";
    let failed = imports.iter().find(|import| import["status"] == "failed").unwrap();
    assert_eq!(
        (&failed["archive"], &failed["disposition"]),
        (&shown.into(), &"left".into()),
        "{failed}"
    );
    let source = source_status(&gate, "acme");
    // A name that begins with dots is somebody's upload, whatever else is in it.
    assert_eq!(
        (&source["ignored"], &source["in_progress"]),
        (&2.into(), &1.into()),
        "{source}"
    );
    said.push_str(&gate.cli(["status"]).stdout);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
