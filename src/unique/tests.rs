//! The store against a plain map: what it says is new, what it says was seen, and what it costs to say so.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::block::{BLOCK_RECORDS, Origin};
use super::error::UniqueError;
use super::store::{BLOCKS_PER_STEP, Place, Store};
use super::*;
use crate::verdict::Position;

fn spill(dir: &Path) -> Arc<Spill> {
    Arc::new(Spill::new(dir))
}

/// An archive whose entries have these keys.
fn archive(dir: &Path, keys: impl IntoIterator<Item = u64>) -> Keys {
    let mut collector = Collector::new(spill(dir));
    for (index, number) in keys.into_iter().enumerate() {
        let at = Position {
            line: index as u64 + 1,
            column: 1,
            byte: 100 * index as u64,
        };
        collector.push(key(number), index as u64, at).expect("room");
    }
    collector.finish().expect("room")
}

fn key(number: u64) -> Key {
    Key::of(["test", &number.to_string()])
}

fn place(import: i64) -> Place {
    Place {
        import,
        seq: import,
        closed_at: 1_000 + import,
    }
}

/// A store, and what it should say.
struct House {
    dir: tempfile::TempDir,
    store: Store,
    known: BTreeMap<u64, Origin>,
    imports: i64,
    /// Imports that were undone, as the ledger has it.
    undone: HashSet<u32>,
}

impl House {
    fn new() -> House {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join(FILE_NAME), 0).expect("a store");
        House {
            dir,
            store,
            known: BTreeMap::new(),
            imports: 0,
            undone: HashSet::new(),
        }
    }

    /// Opens it anew, as after a crash: what was undone is not known until somebody says so.
    fn reopen(&mut self) {
        self.store = Store::open(&self.dir.path().join(FILE_NAME), 0).expect("a store");
    }

    fn stage(&mut self, batch: &[(i64, Keys)]) -> Staged {
        self.store.void = Some(self.undone.clone());
        self.store.stage(batch, spill(self.dir.path())).expect("staged")
    }

    /// Imports archives of these keys in one batch, and holds what the store says of each against what is known.
    fn import(&mut self, archives: &[Vec<u64>]) {
        let batch: Vec<_> = archives
            .iter()
            .map(|keys| {
                self.imports += 1;
                (self.imports, archive(self.dir.path(), keys.iter().copied()))
            })
            .collect();
        let staged = self.stage(&batch);
        let mut expect = Vec::new();
        let mut brought = vec![0; archives.len()];
        for (archive, keys) in archives.iter().enumerate() {
            for (index, number) in keys.iter().enumerate() {
                let this = Origin {
                    import: batch[archive].0 as u32,
                    index: index as u32,
                };
                let known = self.known.get(number).copied();
                match known.filter(|first| !self.undone.contains(&first.import)) {
                    Some(first) => expect.push((archive, index as u64, first)),
                    None => {
                        brought[archive] += 1;
                        self.known.insert(*number, this);
                    }
                }
            }
        }
        let mut seen = Vec::new();
        staged
            .seen(|again| {
                assert_eq!(again.at.line, again.index + 1);
                seen.push((again.archive, again.index, again.first));
            })
            .expect("read");
        assert!(seen == expect, "{seen:?}, not {expect:?}");
        assert_eq!(staged.brought, brought);
        let staged = self.store.standing().expect("it stands").staged;
        let last = brought
            .iter()
            .rposition(|brought| *brought > 0)
            .map(|last| batch[last].0);
        assert_eq!(staged, Vec::from_iter(last));
        let closed: Vec<_> = last.into_iter().map(place).collect();
        self.store.settle(&closed).expect("settled");
    }

    fn merge_all(&mut self) {
        self.store.void = Some(self.undone.clone());
        while self.store.step().expect("a step") {}
    }

    /// The keys that blocks begin with.
    fn firsts(&self) -> HashSet<[u8; 16]> {
        let mut select = self.store.connection.prepare("SELECT first FROM blocks").expect("sql");
        let firsts = select.query_map([], |row| row.get(0)).expect("blocks");
        firsts.collect::<Result<_, _>>().expect("keys")
    }

    fn count(&self, what: &str) -> u64 {
        self.store
            .connection
            .query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0))
            .expect("a count")
    }
}

#[test]
fn it_says_what_a_plain_map_says_whatever_is_merged_and_whenever_it_crashes() {
    let mut dice = fastrand::Rng::with_seed(20_240_501);
    let mut house = House::new();
    for round in 0..120 {
        let archives = dice.usize(1..4);
        let batch: Vec<Vec<u64>> = (0..archives)
            .map(|_| {
                let count = [0, 1, 5, 40, 3_000][dice.usize(..5)];
                (0..count).map(|_| dice.u64(..60_000)).collect()
            })
            .collect();
        house.import(&batch);
        for _ in 0..dice.usize(..4) {
            house.store.step().expect("a step");
        }
        if dice.u8(..) < 40 {
            house.reopen();
        }
        if round % 40 == 39 {
            house.merge_all();
            assert!(house.count("runs") < 16, "{} runs", house.count("runs"));
        }
    }
    house.merge_all();
    // Nothing is there twice, and nothing is left of what was merged.
    let records: u64 = house
        .store
        .connection
        .query_row("SELECT sum(keys) FROM runs", [], |row| row.get(0))
        .expect("a sum");
    assert_eq!(records, house.known.len() as u64);
}

#[test]
fn what_is_staged_counts_only_if_its_import_was_closed() {
    let mut house = House::new();
    let dir = house.dir.path().to_owned();
    let lost = archive(&dir, 0..2_000);
    house.stage(&[(7, lost)]);
    house.reopen();
    assert_eq!(house.store.standing().expect("it stands").staged, [7]);
    // Nobody closed it: the same keys are new when they come again.
    house.store.settle(&[]).expect("settled");
    house.imports = 7;
    house.import(&[(0..2_000).collect()]);
    assert_eq!(house.store.standing().expect("it stands").cursor, Some(place(8)));
    house.import(&[(0..2_000).collect()]);
    house.merge_all();
    assert_eq!(house.count("runs"), 1);
}

#[test]
fn an_import_that_was_undone_has_no_keys_whether_they_were_merged_or_not() {
    let mut house = House::new();
    for import in 0..3 {
        house.import(&[(import * 1_000..(import + 1) * 1_000).collect()]);
    }
    house.undone = HashSet::from([2]);
    house.import(&[(500..2_500).collect()]);
    // Its keys are another's by now, and are told as that one's.
    house.import(&[(500..2_500).collect()]);
    house.merge_all();
    house.import(&[(0..3_000).collect()]);
    house.merge_all();
    assert_eq!(house.count("runs"), 1);
    house.import(&[(0..3_000).collect()]);
}

#[test]
fn nothing_is_merged_before_it_is_said_what_was_undone() {
    let mut house = House::new();
    house.import(&[(0..1_000).collect()]);
    house.undone = HashSet::from([1]);
    // The same archive, uploaded once more.
    house.import(&[(0..1_000).collect()]);
    house.import(&[(1_000..2_000).collect(), (2_000..3_000).collect()]);
    house.import(&[(3_000..4_000).collect()]);
    house.reopen();
    // The next process has only settled what was staged, and has nothing else to do.
    assert!(!house.store.step().expect("a step"));
    house.import(&[(0..4_000).collect()]);
    house.merge_all();
    assert_eq!(house.count("runs"), 1);
    house.import(&[(0..4_000).collect()]);
}

/// A key is in a run once for each import that was undone, if merging did not know of that yet.
#[test]
fn of_entries_with_the_same_key_in_a_run_the_one_that_counts_is_found_wherever_it_is() {
    const KEYS: u64 = 12_000;
    // In front of all that are there four times is one that is not: so each block, and each step, ends among four.
    let alone = (0..KEYS).min_by_key(|number| key(*number)).expect("some");
    for ids in [[1, 2, 3, 4], [4, 3, 2, 1]] {
        let mut house = House::new();
        for (nth, id) in ids.into_iter().enumerate() {
            house.imports = id - 1;
            house.undone = ids[..nth].iter().map(|id| *id as u32).collect();
            house.import(&[(0..KEYS).filter(|number| nth == 0 || *number != alone).collect()]);
        }
        let undone = std::mem::take(&mut house.undone);
        house.merge_all();
        assert_eq!(house.count("runs"), 1);
        assert!(house.count("blocks") > BLOCKS_PER_STEP as u64);
        let records = |house: &House| -> u64 {
            let sql = "SELECT sum(keys) FROM runs";
            let sum = house.store.connection.query_row(sql, [], |row| row.get(0));
            sum.expect("a sum")
        };
        assert_eq!(records(&house), 4 * KEYS - 3);

        (house.imports, house.undone) = (4, undone);
        let firsts = house.firsts();
        let across: Vec<u64> = (0..KEYS)
            .filter(|number| *number != alone && firsts.contains(&key(*number).to_bytes()))
            .collect();
        assert_eq!(across.len() as u64, house.count("blocks") - 1);
        // Looked up one by one, and then all of them side by side.
        for number in &across {
            house.import(&[vec![*number]]);
        }
        house.import(&[(0..KEYS).collect()]);

        let keys: Vec<Key> = across.iter().map(|number| key(*number)).collect();
        house.store.forget(keys.clone()).expect("forgotten");
        let bytes = std::fs::read(house.dir.path().join(FILE_NAME)).expect("the file");
        assert!(
            keys.iter()
                .all(|key| memchr::memmem::find(&bytes, &key.to_bytes()).is_none())
        );
        // The one that was alone is there a second time.
        assert_eq!(records(&house), 4 * KEYS - 3 + 1 - 4 * across.len() as u64);
    }
}

#[test]
fn keys_that_were_erased_are_nowhere_in_the_file() {
    let mut house = House::new();
    for import in 0..6 {
        house.import(&[(import * 1_000..(import + 1) * 1_000).collect()]);
    }
    // In the middle of a merge they are there twice.
    house.store.step().expect("a step");
    let erased: Vec<u64> = [0, 17, 999, 3_333, 5_999].into();
    let keys: Vec<Key> = erased.iter().map(|number| key(*number)).collect();
    for _ in 0..2 {
        house.store.forget(keys.clone()).expect("forgotten");
    }
    let bytes = std::fs::read(house.dir.path().join(FILE_NAME)).expect("the file");
    for key in keys {
        let found = memchr::memmem::find(&bytes, &key.to_bytes());
        assert_eq!(found, None);
    }
    house.known.retain(|number, _| !erased.contains(number));
    house.merge_all();
    house.import(&[(0..6_000).collect()]);
    // All of an import's, block by block.
    house.store.forget((0..6_000).map(key).collect()).expect("forgotten");
    house.known.clear();
    house.merge_all();
    assert_eq!(house.count("blocks"), 0);
    house.import(&[(0..6_000).collect()]);
}

/// Imports of twenty entries into a store that grows: what each reads and writes must not grow with it.
#[test]
fn a_small_import_reads_a_few_blocks_however_much_is_known() {
    let millions: u64 = std::env::var("UNIQUE_MILLIONS").map_or(0, |text| text.parse().expect("a number"));
    let all = if millions == 0 { 200_000 } else { millions * 1_000_000 };
    let mut house = House::new();
    let dir = house.dir.path().to_owned();
    let stage = |house: &mut House, keys: std::ops::Range<u64>| {
        house.imports += 1;
        let batch = [(house.imports, archive(&dir, keys.clone()))];
        let before = house.store.work;
        let staged = house.stage(&batch);
        assert_eq!(staged.brought, [keys.end - keys.start]);
        house.store.settle(&[place(house.imports)]).expect("settled");
        house.store.work.blocks_read - before.blocks_read
    };
    let step = all / 8;
    let mut small = 1 << 40;
    for part in 0..8 {
        stage(&mut house, part * step..(part + 1) * step);
        while house.store.step().expect("a step") {}
        small += 20;
        let read = stage(&mut house, small..small + 20);
        // A block for each key and run, or two where that is all of it; and there are few runs.
        let runs = house.count("runs WHERE state = 'settled'");
        assert!(runs < 16, "{runs} runs");
        assert!(read <= 40 * runs, "{read} blocks of {runs} runs");
    }
    let work = house.store.work;
    assert!(work.blocks_at_once <= BLOCKS_PER_STEP as u64 + 1, "{work:?}");
    // Written once by its import, and about once more for each eightfold growth.
    let blocks = all / BLOCK_RECORDS as u64 + 8;
    assert!(work.blocks_written < 6 * blocks, "{} for {blocks}", work.blocks_written);
    // An archive of all of them reads each block once.
    let before = house.store.work;
    house.imports += 1;
    let batch = [(house.imports, archive(house.dir.path(), 0..all))];
    let staged = house.stage(&batch);
    assert_eq!(staged.brought, [0]);
    let read = house.store.work.blocks_read - before.blocks_read;
    assert!(read <= house.count("blocks"), "{read} of {}", house.count("blocks"));
}

#[test]
fn a_file_that_is_not_what_was_written_is_known_as_that() {
    let mut house = House::new();
    house.import(&[(0..5_000).collect()]);
    let path = house.dir.path().join(FILE_NAME);
    let damaged = |store: &mut Store| {
        let batch = [(99, archive(house.dir.path(), 0..5_000))];
        let fault = store.stage(&batch, spill(house.dir.path())).expect_err("it is damaged");
        matches!(fault.when("testing", &path), UniqueError::Damaged { .. })
    };
    // A bit of a key has turned, which SQLite does not notice.
    house
        .store
        .connection
        .execute_batch("UPDATE blocks SET keys = cast(x'00' || substr(keys, 2) AS BLOB) WHERE id = (SELECT min(id) + 1 FROM blocks)")
        .expect("damage");
    assert!(damaged(&mut house.store));
    // It was overwritten with something else altogether.
    std::fs::write(
        &path,
        "this is no database at all, and it is longer than the header of one would be: ".repeat(400),
    )
    .expect("damage");
    assert!(matches!(Store::open(&path, 0), Err(UniqueError::Damaged { .. })));
}

#[test]
fn a_file_of_a_newer_program_is_left_alone() {
    let house = House::new();
    house
        .store
        .connection
        .pragma_update(None, "user_version", 2)
        .expect("a version");
    let opened = Store::open(&house.dir.path().join(FILE_NAME), 0);
    assert!(matches!(opened, Err(UniqueError::Newer { found: 2, .. })));
}

#[test]
fn nothing_is_merged_that_would_fill_the_disk() {
    let mut house = House::new();
    for import in 0..5 {
        house.import(&[(import * 1_000..(import + 1) * 1_000).collect()]);
    }
    // No disk has so much.
    house.store = Store::open(&house.dir.path().join(FILE_NAME), u64::MAX).expect("a store");
    house.merge_all();
    assert_eq!(house.count("runs"), 5);
    house.import(&[(0..6_000).collect()]);
    house.reopen();
    house.merge_all();
    assert!(house.count("runs") < 4);
}

#[tokio::test]
async fn one_at_a_time_has_the_turn_and_forgetting_waits_for_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let unique = Unique::new(dir.path(), 0).expect("a thread");
    unique.forget(vec![key(1)]).await.expect("nothing is known");
    assert!(!unique.path().exists(), "no file is made to forget something");

    let turn = unique.turn().await;
    let another = unique.clone();
    let mut waits = tokio::spawn(async move { drop(another.turn().await) });
    let keys = archive(dir.path(), 0..3);
    let staged = unique
        .stage(&turn, vec![(1, keys)], Vec::new(), spill(dir.path()))
        .await
        .expect("staged");
    assert_eq!(staged.brought, [3]);
    unique.settle(&turn, vec![place(1)]).await.expect("settled");
    unique.forget(vec![key(1)]).await.expect("forgotten");
    assert!(
        futures_util::poll!(&mut waits).is_pending(),
        "somebody else has the turn"
    );
    drop(turn);
    waits.await.expect("it has its turn");

    let turn = unique.turn().await;
    assert_eq!(unique.standing(&turn).await.expect("it stands").cursor, Some(place(1)));
    let keys = archive(dir.path(), 0..3);
    let staged = unique
        .stage(&turn, vec![(2, keys)], Vec::new(), spill(dir.path()))
        .await
        .expect("staged");
    assert_eq!(staged.brought, [1], "what was forgotten is new");
}
