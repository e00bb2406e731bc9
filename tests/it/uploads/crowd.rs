//! Five hundred archives while the daemon polls, from two clients at once: every one imported, once, and in order.

use super::clients::{is_here, rclone, sftp};
use super::*;

const ARCHIVES: usize = 500;

#[test]
#[allow(clippy::print_stdout, reason = "what is not tried must be said")]
fn five_hundred_from_two_clients_at_once() {
    let sshd = Sshd::start();
    let gate = gate_over(&sshd);
    let home = tempfile::tempdir().expect("the partner's own directory");
    let homes = ["sftp", "rclone"].map(|name| home.path().join(name));
    let has_rclone = is_here("rclone");
    if !has_rclone {
        println!("NOT TRIED: rclone is not on this machine (`tests/run` installs it)");
    }
    for home in &homes {
        fs::create_dir(home).expect("a directory");
    }
    for number in 0..ARCHIVES {
        let (name, bytes) = Archive::feed(&digits(number), &feed(&digits(number), 2));
        let home = &homes[usize::from(has_rclone) * (number % 2)];
        fs::write(home.join(name), bytes).expect("a file to send");
    }
    let _daemon = gate.run();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let batch = format!("put {}/*\n", homes[0].display());
            let sent = sftp(&sshd, sshd.root(), &[], &batch).status();
            assert!(sent.expect("sftp").success());
        });
        if has_rclone {
            // It looks at what it sent, which may be put away by then, and sends that again.
            let from = homes[1].display().to_string();
            let args = ["copy", "--transfers", "8", "--sftp-disable-hashcheck", &from, "REMOTE"];
            let mut command = rclone(&sshd, sshd.root(), &args);
            scope.spawn(move || command.output().expect("rclone"));
        }
    });

    wait_for_events(&gate, ARCHIVES * 2);
    wait_until("all of them put away", || {
        files(sshd.root()).is_empty() && files(&sshd.root().join("processed")).len() >= ARCHIVES
    });
    let status = gate.status();
    let imports = status["imports"].as_array().expect("imports");
    let imported: Vec<&Value> = imports.iter().filter(|import| import["imported"] == true).collect();
    assert_eq!(imported.len(), ARCHIVES);
    assert_eq!(gate.events().len(), ARCHIVES * 2);
    let failed: Vec<&Value> = imports.iter().filter(|import| import["status"] == "failed").collect();
    assert_eq!(failed, Vec::<&Value>::new());
    // Oldest first; and what came when a newer one was in already says so.
    let mut newest = "";
    for import in imported {
        let named_at = import["named_at"].as_str().expect("a time");
        let is_late = import["flags"]
            .as_array()
            .is_some_and(|flags| flags.contains(&"late".into()));
        assert_eq!(is_late, named_at < newest, "{import}");
        newest = newest.max(named_at);
    }
    assert_spool_is_tidy(&gate);
}
