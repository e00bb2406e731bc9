//! Many keys, and many who have the same.

use super::*;

#[test]
fn two_sources_with_the_same_events_have_each_of_them_once() {
    let sources = ["acme", "globex", "initech"];
    let house = House::new(&sources);
    for source in sources {
        for archive in 0..12 {
            // Each order is in two archives of each source.
            let numbers = (0..20).map(|number| archive * 10 + number);
            let entries: Vec<String> = numbers.map(|number| order("u1", number)).collect();
            house.drop_archive(source, &format!("202401010000{archive:02}"), &entries);
        }
    }
    let daemon = house.gate.run();
    house.gate.wait_for_imports(36);
    let rests = || {
        let status = house.gate.status();
        status["destinations"][0]["lag_events"] == 0 && status["destinations"][0]["state"] == "idle"
    };
    super::super::house::gate::wait_until("all is delivered", rests);
    drop(daemon);
    assert_eq!(house.delivered().len(), 130);
    let ledger = house.gate.ledger();
    assert_eq!(
        house.ask(&ledger, "SELECT sum(accepted) - sum(duplicates) FROM imports"),
        130
    );
    assert_eq!(house.ask(&ledger, "SELECT sum(unique_keys) FROM imports"), 130);
}

/// `UNIQUE_MILLIONS=1` has it done with a million.
#[test]
fn keys_take_little_memory_however_many_there_are() {
    let millions: usize = std::env::var("UNIQUE_MILLIONS").map_or(0, |text| text.parse().expect("a number"));
    let count = if millions == 0 { 120_000 } else { millions * 1_000_000 };
    // In no order that the keys know of, and every tenth of them twice.
    let entries = |from: usize| -> Vec<String> {
        let numbers = (0..count).map(|number| from + number - number % 10 / 9);
        numbers.map(|number| order("u1", number)).collect()
    };
    let import = |house: &House| {
        house.drop_archive("acme", FIRST, &entries(0));
        house.drop_archive("acme", SECOND, &entries(count / 2));
        peak_of_once(house)
    };
    let plain = House::new(&["acme"]);
    let without_fields = DEFINITIONS.replace(
        r#""isUniqueKeyField":{"value":"true","valueType":"Boolean"}"#,
        r#""source":{"value":"shop","valueType":"String"}"#,
    );
    fs::write(plain.gate.dir().join("events/shop.json"), without_fields).expect("definitions");
    let without = import(&plain);
    assert!(!plain.unique_db().exists());

    let house = House::new(&["acme"]);
    let with = import(&house);
    assert_eq!(house.duplicates(FIRST), count as u64 / 10);
    assert!(house.duplicates(SECOND) >= count as u64 / 2);
    assert!(
        with < without + 16 * 1024,
        "{with} KiB with unique keys, {without} KiB without"
    );
    let left = fs::read_dir(house.gate.state_dir()).expect("it is there");
    let mut names = left.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned());
    assert!(!names.any(|name| name.starts_with(".unique-")));
}

/// The highest that a pass took of memory, in KiB.
fn peak_of_once(house: &House) -> u64 {
    let daemon = house.gate.start_command("once");
    let status = format!("/proc/{}/status", daemon.id());
    let mut peak = 0;
    // The kernel keeps the highest: what it says last, while the process is there, counts.
    while let Ok(text) = fs::read_to_string(&status) {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(line) = line else { break };
        peak = line.trim().trim_end_matches(" kB").parse().expect("a number");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ended = daemon.wait_for_end();
    assert_eq!(ended.code, 0, "{ended}");
    assert!(peak > 1_000, "{peak} KiB");
    peak
}
