//! Who is who: what an entry says of somebody, held against who is known.
//!
//! A *circle* is everybody whom some entries may mean, and what the entries came to, one after the other. It is a matter of
//! memory alone: `ledger::people` fills it, and writes down what it came to.
//!
//! | the id | the address and unit | comes to |
//! |---|---|---|
//! | known | none, or that user's own | that user |
//! | known | free | that user; it becomes theirs if they have none |
//! | known | a lead's | if the user has none: the two are one. Else a clash |
//! | known | another user's | a clash |
//! | new | a lead's | the lead gets the id, and is a user now |
//! | new | a user's | a clash, and nobody is made |
//! | new | free, or none | a new user |
//! | none | known | that user or lead |
//! | none | new | a new lead |
//!
//! A record of a user feed says how somebody is now: the address it gives takes the place of the one that is known, and so does
//! none. Only another user's address is not taken.
//!
//! **Nothing is taken back.** An import that is undone leaves the people as it made them: nobody could tell whether an id and
//! an address that it brought together belong together for another reason.

use std::collections::HashMap;

use crate::ledger::Cursor;
use crate::ledger::people::{Change, Clash, ClashKind, Concerned, Heard, Mention, Person, Who, folded};

/// What an entry says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The entry.
    pub place: Mention,
    /// The id.
    pub user_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The business unit; empty: none.
    pub unit: String,
    /// Whether it is a record of a user feed.
    pub is_record: bool,
}

impl Said {
    /// By what the people are known whom it may mean.
    pub fn who(&self) -> impl Iterator<Item = Who> {
        let pair = self.pair().map(|(email, unit)| Who::Pair(email, unit));
        self.user_id.clone().map(Who::Id).into_iter().chain(pair)
    }

    fn pair(&self) -> Option<Pair> {
        self.email.as_deref().map(|email| (folded(email), self.unit.clone()))
    }
}

/// An address as it is compared, and a unit.
type Pair = (String, String);

/// Everybody whom some entries may mean.
pub struct Circle {
    members: HashMap<i64, Member>,
    by_id: HashMap<String, i64>,
    by_pair: HashMap<Pair, i64>,
    next_number: i64,
    heard: Heard,
}

struct Member {
    person: Person,
    state: State,
}

/// How far a member is from what the ledger has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Same,
    Mentioned,
    Changed,
    New,
}

impl Circle {
    /// Who is known before the first entry.
    pub fn of(concerned: Concerned) -> Circle {
        let mut circle = Circle {
            members: HashMap::with_capacity(concerned.people.len()),
            by_id: HashMap::new(),
            by_pair: HashMap::new(),
            next_number: concerned.next_number,
            heard: Heard {
                from: concerned.reading.at,
                changes: concerned.reading.changes,
                asked: concerned.reading.asked,
                ..Heard::default()
            },
        };
        for person in concerned.people {
            circle.enter(person, State::Same);
        }
        circle
    }

    /// What one entry comes to.
    pub fn hear(&mut self, said: &Said) {
        let pair = said.pair();
        let of_pair = pair.as_ref().and_then(|pair| self.by_pair.get(pair).copied());
        let Some(id) = &said.user_id else {
            // Neither: no event, and nobody to speak of.
            if pair.is_none() {
                return;
            }
            match of_pair {
                Some(person) => self.mention(person, said),
                None => self.make(said),
            }
            return;
        };
        match (self.by_id.get(id).copied(), of_pair) {
            (None, None) => self.make(said),
            (None, Some(other)) if self.is_lead(other) => self.upgrade(other, said),
            (None, Some(other)) => self.clash(ClashKind::NewIdForAUser, said, None, other),
            (Some(user), None) => self.attach(user, said),
            (Some(user), Some(other)) if user == other => self.attach(user, said),
            (Some(user), Some(other)) => self.two(user, other, said),
        }
    }

    /// What all of it came to, up to a place.
    pub fn end(mut self, to: Cursor) -> Heard {
        self.heard.to = to;
        let mut members: Vec<Member> = self.members.into_values().collect();
        members.sort_unstable_by_key(|member| member.person.number);
        for Member { person, state } in members {
            match state {
                State::Same => {}
                State::New => self.heard.new.push(person),
                State::Mentioned | State::Changed => self.heard.changed.push(Change {
                    person,
                    is_deep: state == State::Changed,
                }),
            }
        }
        self.heard
    }

    /// Somebody of whom nobody had heard.
    fn make(&mut self, said: &Said) {
        let person = Person {
            number: self.next_number,
            user_id: said.user_id.clone(),
            email: said.email.clone(),
            unit: said.unit.clone(),
            first: said.place,
            last: said.place,
            upgraded: None,
            merged: false,
        };
        self.next_number += 1;
        match person.user_id {
            Some(_) => self.heard.users += 1,
            None => self.heard.leads += 1,
        }
        self.enter(person, State::New);
    }

    /// A user, and an address that is theirs, or nobody's.
    fn attach(&mut self, user: i64, said: &Said) {
        self.mention(user, said);
        let person = &self.members[&user].person;
        let is_new = person.email != said.email || person.unit != said.unit;
        // An event adds what is not known, and contradicts nothing.
        if is_new && (said.is_record || (person.email.is_none() && said.email.is_some())) {
            self.move_in(user, said.email.clone(), said.unit.clone());
        }
    }

    /// A lead turns out to have an id that nobody had.
    fn upgrade(&mut self, lead: i64, said: &Said) {
        self.mention(lead, said);
        let person = self.change(lead);
        person.user_id.clone_from(&said.user_id);
        person.upgraded = Some(said.place);
        self.by_id.extend(said.user_id.clone().map(|id| (id, lead)));
        self.heard.users += 1;
        self.heard.leads -= 1;
        self.heard.upgraded += 1;
        if said.is_record {
            self.move_in(lead, said.email.clone(), said.unit.clone());
        }
    }

    /// A user, and an address that is somebody else's.
    fn two(&mut self, user: i64, other: i64, said: &Said) {
        if !self.is_lead(other) {
            return self.clash(ClashKind::AddressOfAnotherUser, said, Some(user), other);
        }
        let has_another = self.members[&user].person.email.is_some();
        if has_another && !said.is_record {
            return self.clash(ClashKind::AddressOfALead, said, Some(user), other);
        }
        self.merge(user, other, said);
    }

    /// A user and a lead are one: what was known of the lead is known of the user.
    fn merge(&mut self, user: i64, lead: i64, said: &Said) {
        let Some(gone) = self.members.remove(&lead) else {
            return;
        };
        if let Some(pair) = gone.person.pair() {
            self.by_pair.remove(&pair);
        }
        if gone.state != State::New {
            self.heard.merged.push((lead, user));
        }
        for clash in &mut self.heard.clashes {
            clash.other = if clash.other == lead { user } else { clash.other };
        }
        self.heard.leads -= 1;
        self.heard.upgraded += 1;
        self.mention(user, said);
        let person = self.change(user);
        person.first = person.first.min(gone.person.first);
        person.upgraded = Some(said.place);
        person.merged = true;
        let email = if said.is_record {
            said.email.clone()
        } else {
            gone.person.email
        };
        self.move_in(user, email, said.unit.clone());
    }

    fn clash(&mut self, what: ClashKind, said: &Said, person: Option<i64>, other: i64) {
        if let Some(user) = person {
            self.mention(user, said);
        }
        self.heard.clashes.push(Clash {
            place: said.place,
            what,
            user_id: said.user_id.clone().unwrap_or_default(),
            email: said.email.clone().unwrap_or_default(),
            unit: said.unit.clone(),
            person,
            other,
        });
    }

    /// Somebody has this address and this unit from now on.
    fn move_in(&mut self, number: i64, email: Option<String>, unit: String) {
        if let Some(pair) = self.members[&number].person.pair() {
            self.by_pair.remove(&pair);
        }
        let person = self.change(number);
        (person.email, person.unit) = (email, unit);
        let pair = person.pair();
        self.by_pair.extend(pair.map(|pair| (pair, number)));
    }

    fn mention(&mut self, number: i64, said: &Said) {
        let member = self.members.get_mut(&number).expect("a member by one of its keys");
        member.person.last = said.place;
        member.state = member.state.max(State::Mentioned);
    }

    fn change(&mut self, number: i64) -> &mut Person {
        let member = self.members.get_mut(&number).expect("a member by one of its keys");
        member.state = member.state.max(State::Changed);
        &mut member.person
    }

    fn enter(&mut self, person: Person, state: State) {
        let number = person.number;
        self.by_id.extend(person.user_id.clone().map(|id| (id, number)));
        self.by_pair.extend(person.pair().map(|pair| (pair, number)));
        self.members.insert(number, Member { person, state });
    }

    fn is_lead(&self, number: i64) -> bool {
        self.members[&number].person.user_id.is_none()
    }
}
