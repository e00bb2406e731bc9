//! Any entries at all, against a model that could not be simpler: a list of people that is gone through for every entry. What
//! the ledger keeps must be the same, in whatever portions the entries are heard.
//!
//! `PEOPLE_CASES=100000` makes a long run of it.

use feedgate::ledger::Cursor;
use feedgate::ledger::people::{Mention, Who};
use feedgate::people::{Circle, Said};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Somebody, as simply as can be.
#[derive(Debug, Clone, PartialEq)]
struct Simple {
    id: Option<String>,
    email: Option<String>,
    unit: String,
    first: u64,
    last: u64,
    upgraded: Option<u64>,
    merged: bool,
}

/// What is known after some entries, a line for each as [`table`] has them.
fn by_the_book(entries: &[Said]) -> Vec<String> {
    let mut people: Vec<Simple> = Vec::new();
    // Entry, what, whose id, whose address: these are followed by id or address when they are shown.
    let mut clashes: Vec<(usize, &str, Option<usize>, usize)> = Vec::new();
    // People stay where they are in the list; who is one with another is found by this.
    let mut gone: Vec<Option<usize>> = Vec::new();
    for (number, said) in entries.iter().enumerate() {
        let now = said.place.index;
        let there = |at: &usize| gone[*at].is_none();
        let all: Vec<usize> = (0..people.len()).filter(there).collect();
        let by_id = all
            .iter()
            .copied()
            .find(|at| said.user_id.is_some() && people[*at].id == said.user_id);
        let lower = |email: &Option<String>| email.as_ref().map(|email| email.to_lowercase());
        let by_pair = all.iter().copied().find(|at| {
            said.email.is_some() && lower(&people[*at].email) == lower(&said.email) && people[*at].unit == said.unit
        });
        let new = Simple {
            id: said.user_id.clone(),
            email: said.email.clone(),
            unit: said.unit.clone(),
            first: now,
            last: now,
            upgraded: None,
            merged: false,
        };
        if said.user_id.is_none() && said.email.is_none() {
            continue;
        }
        let is_lead = |at: usize| people[at].id.is_none();
        match (by_id, by_pair) {
            (None, None) => {
                people.push(new);
                gone.push(None);
            }
            (None, Some(pair)) if said.user_id.is_none() => people[pair].last = now,
            (None, Some(pair)) if is_lead(pair) => {
                let lead = &mut people[pair];
                (lead.id, lead.upgraded, lead.last) = (said.user_id.clone(), Some(now), now);
                if said.is_record {
                    lead.email.clone_from(&said.email);
                }
            }
            (None, Some(pair)) => clashes.push((number, "new_id_for_a_user", None, pair)),
            (Some(user), pair) if pair.is_none() || pair == Some(user) => {
                let user = &mut people[user];
                user.last = now;
                if said.is_record || (user.email.is_none() && said.email.is_some()) {
                    (user.email, user.unit) = (said.email.clone(), said.unit.clone());
                }
            }
            (Some(user), Some(pair)) if is_lead(pair) && (said.is_record || people[user].email.is_none()) => {
                let lead = people[pair].clone();
                gone[pair] = Some(user);
                let user = &mut people[user];
                (user.last, user.upgraded, user.merged) = (now, Some(now), true);
                user.first = user.first.min(lead.first);
                user.email = if said.is_record { said.email.clone() } else { lead.email };
                user.unit.clone_from(&said.unit);
            }
            (Some(user), Some(pair)) => {
                let what = if is_lead(pair) {
                    "address_of_a_lead"
                } else {
                    "address_of_another_user"
                };
                clashes.push((number, what, Some(user), pair));
                people[user].last = now;
            }
            (Some(_), None) => unreachable!("seen to above"),
        }
    }
    shown(entries, &people, &clashes, &gone)
}

fn shown(
    entries: &[Said],
    people: &[Simple],
    clashes: &[(usize, &str, Option<usize>, usize)],
    gone: &[Option<usize>],
) -> Vec<String> {
    let or = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let mut lines: Vec<(String, Option<String>, String, String)> = Vec::new();
    for (_, person) in people.iter().enumerate().filter(|(at, _)| gone[*at].is_none()) {
        let Simple {
            id,
            email,
            unit,
            first,
            last,
            upgraded,
            merged,
        } = person;
        let mut line = format!(
            "{} {} {} 1.{first} 1.{last}",
            or(id.as_deref().unwrap_or_default()),
            or(email.as_deref().unwrap_or_default()),
            or(unit)
        );
        if let Some(at) = upgraded {
            line += &format!(" upgraded 1.{at}");
        }
        if *merged {
            line += " merged";
        }
        let sorted_by = id.clone().unwrap_or_else(|| "~".to_owned());
        lines.push((
            sorted_by,
            email.as_ref().map(|email| email.to_lowercase()),
            unit.clone(),
            line,
        ));
    }
    lines.sort();
    let mut table: Vec<String> = lines.into_iter().map(|(.., line)| line).collect();
    let name = |mut at: usize| {
        while let Some(other) = gone[at] {
            at = other;
        }
        people[at].id.clone().unwrap_or_else(|| "lead".to_owned())
    };
    for (entry, what, person, other) in clashes {
        let said = &entries[*entry];
        table.push(format!(
            "clash 1.{} {what} {} {} {}: {}, {}",
            said.place.index,
            said.user_id.as_deref().unwrap_or_default(),
            said.email.as_deref().unwrap_or_default(),
            or(&said.unit),
            person.map_or_else(|| "nobody".to_owned(), name),
            name(*other)
        ));
    }
    table
}

/// An entry of few people, so that they meet.
fn said() -> impl Strategy<Value = (Option<usize>, Option<usize>, usize, bool, bool)> {
    let often = |of: usize| prop_oneof![1 => Just(None), 2 => (0..of).prop_map(Some)];
    (
        often(5),
        often(4),
        0..2_usize,
        any::<bool>(),
        prop::bool::weighted(0.25),
    )
}

#[test]
fn as_the_model_has_it() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cases = std::env::var("PEOPLE_CASES").map_or(150, |cases| cases.parse().expect("a number"));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let entries = prop::collection::vec(said(), 0..60);
    let portions = prop::collection::vec(1..12_usize, 60);
    runner
        .run(&(entries, portions), |(entries, portions)| {
            let entries: Vec<Said> = entries.into_iter().enumerate().filter_map(entry).collect();
            let found = runtime.block_on(heard(&entries, &portions));
            prop_assert_eq!(found, by_the_book(&entries));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

type Drawn = (Option<usize>, Option<usize>, usize, bool, bool);

fn entry((index, (id, email, unit, is_loud, is_record)): (usize, Drawn)) -> Option<Said> {
    // A record without an id is none.
    let is_record = is_record && id.is_some();
    let email = email.map(|email| format!("e{email}@x.de"));
    Some(Said {
        place: Mention {
            at: 1,
            import: 1,
            index: index as u64,
        },
        user_id: id.map(|id| format!("u{id}")),
        email: if is_loud {
            email.map(|email| email.to_uppercase())
        } else {
            email
        },
        unit: ["", "DE"][unit].to_owned(),
        is_record,
    })
}

/// What the ledger has when they were heard, in these portions.
async fn heard(entries: &[Said], portions: &[usize]) -> Vec<String> {
    let world = World::new();
    import(&world, 0, Feed::Events(&["u - -"])).await;
    let mut left = entries;
    for portion in portions {
        let (now, rest) = left.split_at(left.len().min(*portion));
        let by: Vec<Who> = now.iter().flat_map(Said::who).collect();
        let concerned = world.ledger.concerned(by).await.expect("the ledger");
        let mut circle = Circle::of(concerned);
        now.iter().for_each(|said| circle.hear(said));
        let to = Cursor {
            seq: 1,
            index: (entries.len() - rest.len()) as u64,
        };
        assert!(world.ledger.hear(circle.end(to), 1).await.expect("the ledger"));
        left = rest;
    }
    assert!(left.is_empty());
    let ledger = world.path("ledger.db");
    counts_are_right(&ledger);
    table(&ledger)
}
