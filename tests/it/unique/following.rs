//! The keys follow the ledger: a file that is gone, damaged or of another time is noticed, and had again as far as that can be.

use super::super::house::gate::wait_until;
use super::*;

/// Two imports of ten orders each.
fn after_two() -> House {
    let house = House::new(&["acme"]);
    house.import("acme", FIRST, &orders(0..10));
    house.import("acme", SECOND, &orders(10..20));
    house
}

fn orders(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| order("u1", number)).collect()
}

/// All twenty orders come again, and two new ones: nothing is delivered twice, and nothing is missing.
fn all_come_again(house: &House) -> String {
    let once = house.import("acme", THIRD, &orders(0..22));
    assert_eq!(house.duplicates(THIRD), 20, "{once}");
    assert_eq!(house.delivered().len(), 22);
    once.stderr
}

#[test]
fn a_file_that_was_removed_is_built_anew() {
    let house = after_two();
    fs::remove_file(house.unique_db()).expect("it was there");
    let said = all_come_again(&house);
    assert!(said.contains("are read again from the spool"), "{said}");
    // And that was it.
    let once = house.import("acme", "20240104000000", &orders(0..23));
    assert!(!once.stderr.contains("read again"), "{once}");
    assert_eq!(house.duplicates("20240104000000"), 22);
}

#[test]
fn a_file_that_is_damaged_is_set_aside_and_built_anew() {
    let house = after_two();
    fs::write(house.unique_db(), "no database ".repeat(10_000)).expect("damage");
    let said = all_come_again(&house);
    assert!(said.contains("is damaged"), "{said}");
    assert!(house.gate.state_dir().join("unique.db.aside").exists());

    // One byte of one key, which SQLite does not notice.
    let mut bytes = fs::read(house.unique_db()).expect("the file");
    let key = Connection::open(house.unique_db())
        .expect("the file")
        .query_row("SELECT first FROM blocks ORDER BY id LIMIT 1", [], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .expect("a key");
    for place in memchr::memmem::find_iter(&bytes.clone(), &key) {
        bytes[place + 12] ^= 1;
    }
    fs::write(house.unique_db(), bytes).expect("damage");
    let once = house.import("acme", "20240104000000", &orders(0..23));
    assert!(once.stderr.contains("is not what was written"), "{once}");
    assert_eq!(house.duplicates("20240104000000"), 22);
}

#[test]
fn a_file_put_back_from_a_backup_is_brought_up_to_date() {
    let house = House::new(&["acme"]);
    house.import("acme", FIRST, &orders(0..10));
    let backup = fs::read(house.unique_db()).expect("the file");
    house.import("acme", SECOND, &orders(10..20));
    fs::write(house.unique_db(), backup).expect("put back");
    all_come_again(&house);
}

#[test]
fn a_ledger_put_back_from_a_backup_takes_its_keys_with_it() {
    let house = House::new(&["acme"]);
    house.import("acme", FIRST, &orders(0..10));
    let ledger = Connection::open(house.gate.ledger()).expect("the ledger");
    ledger
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("all of it in one file");
    drop(ledger);
    let backup = fs::read(house.gate.ledger()).expect("the ledger");
    for day in 2..4 {
        house.import("acme", &format!("2024010{day}000000"), &orders(day * 10 - 10..day * 10));
    }
    for beside in ["ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(house.gate.state_dir().join(beside)).ok(); // they may be gone
    }
    fs::write(house.gate.ledger(), backup).expect("put back");
    // It is ahead of the ledger, and would take nothing.
    fs::remove_file(&house.events_db).expect("moved away, as is advised");
    // As far as the ledger knows the second ten and the third never came: they are no duplicates of what nobody knows.
    let once = house.import("acme", "20240109000000", &orders(0..30));
    assert!(once.stderr.contains("as if the ledger was put back"), "{once}");
    assert_eq!(house.duplicates("20240109000000"), 10);
    assert_eq!(house.delivered().len(), 30);
}

#[test]
fn what_left_the_spool_cannot_be_had_again_and_that_is_said() {
    let house = after_two();
    fs::remove_file(house.unique_db()).expect("it was there");
    let ledger = Connection::open(house.gate.ledger()).expect("the ledger");
    let pruned = "UPDATE imports SET spool_file = NULL, spool_offset = NULL, spool_len = NULL, pruned_at = closed_at WHERE id = 1";
    ledger.execute(pruned, []).expect("pruned");
    let once = house.import("acme", THIRD, &orders(0..22));
    assert!(once.stderr.contains("cannot be had again"), "{once}");
    assert_eq!(house.duplicates(THIRD), 10);
}

#[test]
fn an_archive_that_lies_elsewhere_since_it_was_looked_up_is_read_there() {
    let house = House::new(&["acme"]);
    house.import("acme", FIRST, &orders(0..60_000));
    house.import("acme", SECOND, &orders(60_000..60_010));
    fs::remove_file(house.unique_db()).expect("it was there");
    let ledger = Connection::open(house.gate.ledger()).expect("the ledger");
    let spool_file = |id: i64| -> PathBuf {
        let sql = "SELECT spool_file FROM imports WHERE id = ?1";
        let file: String = ledger.query_row(sql, [id], |row| row.get(0)).expect("a file");
        house.gate.state_dir().join("spool").join(file)
    };
    let (first, second) = (spool_file(1), spool_file(2));

    house.drop_archive("acme", THIRD, &orders(60_000..60_012));
    let once = house.gate.spawn(house.gate.command().arg("once"));
    let held = format!("/proc/{}/fd", once.id());
    wait_until("the first archive to be read", || {
        let fds = fs::read_dir(&held).into_iter().flatten().flatten();
        fds.map(|fd| fs::read_link(fd.path()))
            .any(|file| file.is_ok_and(|file| file == first))
    });
    // As an erasure has it, while the first one is read.
    let elsewhere = "UPDATE imports SET spool_file = spool_file || '.anew' WHERE id = 2";
    let mut anew = second.clone().into_os_string();
    anew.push(".anew");
    fs::hard_link(&second, anew).expect("a new file");
    ledger.execute(elsewhere, []).expect("noted");
    fs::remove_file(&second).expect("the old file");
    once.wait_for_end();
    assert_eq!(house.duplicates(THIRD), 10);
}

#[test]
fn the_keys_of_an_import_that_was_undone_do_not_count() {
    let house = after_two();
    let ledger = Connection::open(house.gate.ledger()).expect("the ledger");
    // As `feedgate undo` has it.
    ledger
        .execute("UPDATE imports SET undone_by = 2 WHERE id = 1", [])
        .expect("undone");
    house.import("acme", THIRD, &orders(0..22));
    assert_eq!(house.duplicates(THIRD), 10);
    // Nor do they when the file is built anew.
    fs::remove_file(house.unique_db()).expect("it was there");
    house.import("acme", "20240104000000", &orders(0..23));
    assert_eq!(house.duplicates("20240104000000"), 22);
}
