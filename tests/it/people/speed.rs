//! Many people, of whom nobody had heard: how long that takes, and how much memory.
//!
//! `PEOPLE=1000000 cargo test --release --test it people::speed -- --nocapture` prints the figures.

use std::time::Instant;

use super::*;

#[tokio::test]
#[allow(clippy::print_stdout, reason = "the figures are what this is for")]
async fn many_new_people() {
    let count: u64 = std::env::var("PEOPLE").map_or(20_000, |count| count.parse().expect("a number"));
    let world = World::new();
    let entry = |n: u64| {
        // Ids as the vendor's are, in no order.
        let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = format!("{id:016x}{:016x}{id:016x}{n:016x}", id.rotate_left(23));
        format!(r#"{{"event":"Viewed Page","id":"{id}","email":"ada+{id:.12}@example.com","businessUnit":"DE"}}"#)
    };
    for part in 0..2 {
        let entries: Vec<String> = (count * part / 2..count * (part + 1) / 2).map(entry).collect();
        world
            .import("acme", &digits(part as usize), &format!("[{}]", entries.join(",")))
            .await;
    }
    let began = Instant::now();
    let heard = read(&world).await;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{heard} new people in {took:.1} s, {:.0} a second; {}",
        heard as f64 / took,
        memory()
    );

    let again: Vec<String> = (0..count / 2).map(|n| entry(n * 2)).collect();
    world
        .import("acme", &digits(2), &format!("[{}]", again.join(",")))
        .await;
    let began = Instant::now();
    let known = read(&world).await;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{known} known people in {took:.1} s, {:.0} a second; {}",
        known as f64 / took,
        memory()
    );

    assert_eq!((heard as u64, known as u64), (count, count / 2));
    let reading = world.ledger.people_reading().await.expect("the ledger");
    assert_eq!((reading.users, reading.leads, reading.clashes), (count, 0, 0));
    let size = std::fs::metadata(world.path("ledger.db")).expect("the ledger").len();
    println!("the ledger has {:.0} bytes a person", size as f64 / count as f64);
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.unwrap_or("no figure of memory")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
