//! Bento: a marketing tool, by its batch API.
//!
//! A parcel is one call to `batch/events`. Before it go the calls that set what an operator maps to people: their profiles in
//! one call to `batch/subscribers`, then, person by person, `fetch/subscribers` and `fetch/commands`.
//!
//! **At least once.** Bento has no key that would make a call safe to repeat, but for orders: a `$purchase` carries its unit
//! and order as `unique.key`, and counts once however often it comes. Any other event whose call was not answered may be
//! there twice, and may have started automations twice; its `entry_key` is then the same.
//!
//! | in reading order | |
//! |---|---|
//! | `name` | what an event is to Bento, and what it never becomes by accident |
//! | `mapping`, `purchase`, `amount` | an entry as Bento's event; orders; money |
//! | `fields`, `people` | what is written to a profile; what is said of people beside their events |
//! | `site`, `answer`, `tags` | requests; what answers mean; the dial |
//! | `address` | e-mail addresses |

mod address;
mod amount;
mod answer;
mod fields;
mod mapping;
mod name;
mod people;
mod purchase;
mod site;
mod tags;

use std::ops::Range;

use self::mapping::Mapping;
use self::people::People;
use self::site::Site;
use super::Reply;
use super::receiver::{Added, Answer, Budget, Call, Needs, Receiver};
use crate::config::resolve::BentoSettings;
use crate::destination::entry::{Entry, whole_characters};
use crate::events::{Bounds, Event};

pub(super) use self::tags::check;

/// Most bytes of events in a call, as Bento's first client had it. Nothing says what it is today; a larger one would be
/// answered with 413, and made smaller.
const BATCH_BYTES: usize = 500_000;

/// A site that events are sent to.
pub(super) struct Bento {
    site: Site,
    mapping: Mapping,
    people: People,
    batch_events: usize,
    /// The parcel's events as Bento wants them, one behind the other with nothing between.
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Bento {
    /// Prepares for calls; nothing is dialled. `Err` is [`Reply::Barred`].
    pub(super) fn open(settings: &BentoSettings) -> Result<Bento, Reply> {
        Ok(Bento {
            site: Site::open(settings)?,
            mapping: Mapping::new(settings),
            people: People::new(settings),
            batch_events: settings.batch_events,
            text: String::new(),
            ends: Vec::new(),
        })
    }

    /// Events of the parcel, as Bento wants them.
    fn events(&self, range: Range<usize>) -> impl Iterator<Item = &str> {
        let begin = |index: usize| index.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        range.map(move |index| &self.text[begin(index)..self.ends[index]])
    }
}

impl Receiver for Bento {
    fn bounds(&self) -> Bounds {
        Bounds {
            events: self.batch_events,
            bytes: BATCH_BYTES,
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        // A single event may be far larger than a parcel is meant to be: its room is not kept for ever.
        self.text.shrink_to(BATCH_BYTES);
        self.ends.clear();
        self.people.clear();
    }

    fn add(&mut self, event: &Event<'_>) -> Added {
        let body = whole_characters(event.body);
        let Some(entry) = Entry::of(&body) else {
            return Added::Refused {
                reason: "its entry cannot be read as a JSON object".to_owned(),
            };
        };
        match self.mapping.push(&mut self.text, event, &entry) {
            Ok(email) => {
                self.ends.push(self.text.len());
                self.people.add(event, email, &entry);
                Added::Taken
            }
            Err(added) => added,
        }
    }

    fn needs(&self) -> Needs {
        Needs::Email
    }

    fn bytes(&self) -> usize {
        self.text.len()
    }

    fn calls_before(&self) -> usize {
        self.people.calls()
    }

    fn budget(&self, call: &Call) -> Option<Budget> {
        Some(match call {
            Call::Before(number) if !self.people.is_about_profiles(*number) => self.site.fetch_budget(),
            Call::Before(_) | Call::Parcel(_) => self.site.batch_budget(),
        })
    }

    fn budgets(&self) -> Vec<Budget> {
        vec![self.site.batch_budget(), self.site.fetch_budget()]
    }

    fn make(&mut self, call: &Call) -> Answer {
        match call {
            Call::Before(number) => self.people.make(*number, &mut self.site),
            Call::Parcel(range) => {
                let events = self.events(range.clone());
                let request = self.site.request("batch/events", |body| body.array("events", events));
                let reached = self.site.post(&request);
                answer::of_events(reached, range.len() as u64, &self.site)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::resolve::{Endpoint, Secret, WithoutEmail};
    use crate::events::EventId;

    /// Settings to make others of. Nothing is there to be dialled.
    pub(super) fn settings() -> BentoSettings {
        BentoSettings {
            endpoint: Endpoint {
                url: "http://127.0.0.1:9/api/v1".to_owned(),
                roots: None,
                timeout: Duration::from_secs(30),
            },
            site_uuid: "site-1".to_owned(),
            publishable_key: Secret::new("publishable-1"),
            secret_key: Secret::new("secret-1"),
            batch_events: 100,
            batch_per_hour: 500,
            fetch_per_hour: 3600,
            burst: 10,
            without_email: WithoutEmail::Hold,
            currency: None,
            bypass_workflows: false,
            fields: Vec::new(),
            profile: Vec::new(),
            tags: Vec::new(),
            set_fields: Vec::new(),
        }
    }

    /// Pairs of texts.
    pub(super) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(one, other): &(&str, &str)| (one.to_string(), other.to_string());
        pairs.iter().map(owned).collect()
    }

    /// An event to make others of.
    pub(super) fn an_event() -> Event<'static> {
        Event {
            id: EventId {
                key: "00ff",
                index: 12,
                item: 0,
            },
            import: 1,
            source: "acme",
            archive: "event_history_20191118170500.json.zip",
            index: 12,
            event: "Viewed Product",
            renamed: None,
            user_id: None,
            email: Some("ada@example.com"),
            business_unit: None,
            at: 1_574_096_700_000,
            body: "{}",
        }
    }

    #[test]
    fn what_is_not_taken_leaves_nothing_behind() {
        let mut bento = Bento::open(&settings()).expect("settings that are right");
        let body = r#"{"orderId":"1","total":"a lot","currency":"EUR"}"#;
        let order = Event {
            event: "Completed Order",
            body,
            ..an_event()
        };
        assert!(matches!(bento.add(&order), Added::Refused { .. }));
        let nobody = Event {
            email: None,
            ..an_event()
        };
        assert!(matches!(bento.add(&nobody), Added::Held { .. }));
        assert_eq!(bento.bytes(), 0);
        assert_eq!(bento.add(&an_event()), Added::Taken);
        let bytes = bento.bytes();
        assert!(matches!(bento.add(&order), Added::Refused { .. }));
        assert_eq!(bento.bytes(), bytes);
        assert_eq!(bento.add(&an_event()), Added::Taken);
        let events: Vec<&str> = bento.events(0..2).collect();
        assert_eq!(events[0], events[1]);
        assert_eq!(bento.events(1..2).collect::<Vec<_>>(), events[1..]);
        bento.clear();
        assert_eq!((bento.bytes(), bento.calls_before()), (0, 0));
    }

    #[test]
    fn budgets_are_the_sites() {
        let mut bento = Bento::open(&BentoSettings {
            profile: pairs(&[("city", "city")]),
            tags: vec![("Viewed Product".to_owned(), vec!["viewer".to_owned()])],
            ..settings()
        })
        .expect("settings that are right");
        let event = Event {
            body: r#"{"city":"Bonn"}"#,
            ..an_event()
        };
        assert_eq!(bento.add(&event), Added::Taken);
        assert_eq!(bento.calls_before(), 3);
        let kind = |call: Call| {
            bento
                .budget(&call)
                .map(|budget| (budget.kind, budget.per_hour, budget.site))
        };
        let site = "bento site-1".to_owned();
        assert_eq!(kind(Call::Before(0)), Some(("batch", 500, site.clone())));
        assert_eq!(kind(Call::Before(1)), Some(("fetch", 3600, site.clone())));
        assert_eq!(kind(Call::Before(2)), Some(("fetch", 3600, site.clone())));
        assert_eq!(kind(Call::Parcel(0..1)), Some(("batch", 500, site)));
    }
}
