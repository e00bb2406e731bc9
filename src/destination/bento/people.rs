//! What is said of people beside their events: profiles, tags and fields, by calls that go before the parcel.
//!
//! All of these calls may be made again without harm, for they set and do not add up. The commands are those that start no
//! automations, as Bento's guide has it: `add_tag` and `add_field`, rather than their namesakes that do. Before them the guide
//! finds or creates the person, and *that* may start some. So it is left out where workflows are to be bypassed: the
//! commands, too, create whoever is not there.

use std::collections::HashMap;

use super::answer;
use super::fields::mapped;
use super::site::{Request, Site};
use crate::config::resolve::BentoSettings;
use crate::destination::entry::Entry;
use crate::destination::json::Object;
use crate::destination::receiver::Answer;
use crate::events::Event;

/// Place in the entry, field.
type Places = Vec<(String, String)>;

/// What the operator maps to people, and what comes of it in the parcel.
pub(super) struct People {
    profile: Places,
    tags: HashMap<String, Vec<String>>,
    set_fields: HashMap<String, Places>,
    bypass_workflows: bool,
    profiles: Vec<Profile>,
    /// Where the profile of an address is, by the address without case.
    profile_of: HashMap<String, usize>,
    commands: Vec<Command>,
    /// Where something is said of an address already.
    said: HashMap<(String, What), usize>,
}

/// A person's address and fields.
struct Profile {
    email: String,
    /// Name and JSON.
    fields: Vec<(String, String)>,
}

/// A call about one person.
struct Command {
    email: String,
    what: What,
    /// JSON of the field's value, where it is about one.
    value: String,
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    /// That there is such a person.
    Person,
    Tag(String),
    Field(String),
}

impl People {
    /// As the operator wants it. Nobody is in the parcel yet.
    pub(super) fn new(settings: &BentoSettings) -> People {
        People {
            profile: settings.profile.clone(),
            tags: settings.tags.iter().cloned().collect(),
            set_fields: settings
                .set_fields
                .iter()
                .map(|(event, fields)| {
                    // Looked up as `fields` and `profile` are: by place.
                    let by_place = fields.iter().map(|(field, place)| (place.clone(), field.clone()));
                    (event.clone(), by_place.collect())
                })
                .collect(),
            bypass_workflows: settings.bypass_workflows,
            profiles: Vec::new(),
            profile_of: HashMap::new(),
            commands: Vec::new(),
            said: HashMap::new(),
        }
    }

    /// Nobody is in the parcel.
    pub(super) fn clear(&mut self) {
        self.profiles.clear();
        self.profile_of.clear();
        self.commands.clear();
        self.said.clear();
    }

    /// Takes in what an event says of its person.
    pub(super) fn add(&mut self, event: &Event<'_>, email: &str, entry: &Entry<'_>) {
        let fields: Vec<(String, String)> = mapped(&self.profile, entry)
            .into_iter()
            .map(|field| (field.name.to_owned(), field.json))
            .collect();
        if !fields.is_empty() {
            self.add_profile(email, fields);
        }
        let mut said: Vec<(What, String)> = Vec::new();
        if let Some(tags) = self.tags.get(event.event) {
            said.extend(tags.iter().map(|tag| (What::Tag(tag.clone()), String::new())));
        }
        if let Some(places) = self.set_fields.get(event.event) {
            let fields = mapped(places, entry).into_iter();
            said.extend(fields.map(|field| (What::Field(field.name.to_owned()), field.json)));
        }
        if !said.is_empty() && !self.bypass_workflows {
            self.say(email, What::Person, String::new());
        }
        for (what, value) in said {
            self.say(email, what, value);
        }
    }

    /// Number of calls that go before the parcel.
    pub(super) fn calls(&self) -> usize {
        usize::from(!self.profiles.is_empty()) + self.commands.len()
    }

    /// Whether a call is the one with the profiles. It is the first, if there are any.
    pub(super) fn is_about_profiles(&self, number: usize) -> bool {
        number == 0 && !self.profiles.is_empty()
    }

    /// Makes the call of a number.
    pub(super) fn make(&self, number: usize, site: &mut Site) -> Answer {
        let Some(request) = self.request(number, site) else {
            // Nothing is left to say.
            return Answer::Delivered;
        };
        let reached = site.post(&request);
        match self.is_about_profiles(number) {
            true => answer::of_profiles(reached, self.profiles.len() as u64, site),
            false => answer::of_person(request.path, reached, site),
        }
    }

    /// The call of a number: profiles all at once, and then what is said of each person, in order.
    fn request(&self, number: usize, site: &Site) -> Option<Request> {
        if self.is_about_profiles(number) {
            return Some(site.request("batch/subscribers", |body| self.write_profiles(body)));
        }
        let command = self.commands.get(number - usize::from(!self.profiles.is_empty()))?;
        Some(match command.what {
            What::Person => site.request("fetch/subscribers", |body| {
                body.object("subscriber", |subscriber| subscriber.text("email", &command.email));
            }),
            What::Tag(_) | What::Field(_) => site.request("fetch/commands", |body| {
                body.object("command", |object| command.write(object));
            }),
        })
    }

    /// Adds to the profile of an address; later values win.
    fn add_profile(&mut self, email: &str, fields: Vec<(String, String)>) {
        let place = *self
            .profile_of
            .entry(email.to_lowercase())
            .or_insert(self.profiles.len());
        let Some(profile) = self.profiles.get_mut(place) else {
            let email = email.to_owned();
            self.profiles.push(Profile { email, fields });
            return;
        };
        for (name, json) in fields {
            match profile.fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = json,
                None => profile.fields.push((name, json)),
            }
        }
    }

    /// Says something of an address, once; of a field the last value.
    fn say(&mut self, email: &str, what: What, value: String) {
        let place = *self
            .said
            .entry((email.to_lowercase(), what.clone()))
            .or_insert(self.commands.len());
        match self.commands.get_mut(place) {
            Some(command) => command.value = value,
            None => self.commands.push(Command {
                email: email.to_owned(),
                what,
                value,
            }),
        }
    }

    fn write_profiles(&self, body: &mut Object<'_>) {
        body.objects("subscribers", &self.profiles, |subscriber, profile| {
            subscriber.text("email", &profile.email);
            for (name, json) in &profile.fields {
                // An address under another name would be another person's profile.
                if name != "email" {
                    subscriber.json(name, json);
                }
            }
        });
    }
}

impl Command {
    fn write(&self, object: &mut Object<'_>) {
        match &self.what {
            What::Person => {}
            What::Tag(tag) => {
                object.text("command", "add_tag");
                object.text("email", &self.email);
                object.text("query", tag);
            }
            What::Field(field) => {
                object.text("command", "add_field");
                object.text("email", &self.email);
                object.object("query", |query| {
                    query.text("key", field);
                    query.json("value", &self.value);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::bento::tests::{an_event, pairs, settings};

    fn calls(settings: &BentoSettings, events: &[(&str, &str, &str)]) -> Vec<String> {
        let mut people = People::new(settings);
        for (name, email, body) in events {
            let event = Event {
                event: name,
                ..an_event()
            };
            people.add(&event, email, &Entry::of(body).expect("an object"));
        }
        let site = Site::open(settings).expect("settings that are right");
        let request = |number| {
            let request = people.request(number, &site).expect("a call");
            let body = request
                .body
                .strip_prefix(r#"{"site_uuid":"site-1","#)
                .expect("the site");
            format!("{} {{{body}", request.path)
        };
        assert!(people.request(people.calls(), &site).is_none());
        let calls = (0..people.calls()).map(request).collect();
        people.clear();
        assert_eq!(people.calls(), 0);
        calls
    }

    #[test]
    fn nobody_asks() {
        assert!(calls(&settings(), &[("Registered", "ada@example.com", "{}")]).is_empty());
    }

    #[test]
    fn profiles_are_of_people() {
        let settings = BentoSettings {
            profile: pairs(&[("name", "name"), ("/address/city", "city"), ("id", "email")]),
            ..settings()
        };
        let found = calls(
            &settings,
            &[
                (
                    "Registered",
                    "ada@example.com",
                    r#"{"name":"Ada","address":{"city":"Bonn"}}"#,
                ),
                ("Viewed Product", "bob@example.com", r#"{"name":null}"#),
                ("Viewed Product", "Ada@Example.COM", r#"{"name":"Ada L","id":7}"#),
                ("Viewed Product", "cy@example.com", r#"{"name":5.00}"#),
            ],
        );
        assert_eq!(
            found,
            [concat!(
                r#"batch/subscribers {"subscribers":[{"email":"ada@example.com","name":"Ada L","city":"Bonn"},"#,
                r#"{"email":"cy@example.com","name":5.00}]}"#
            )]
        );
    }

    #[test]
    fn nobody_is_created_where_workflows_are_bypassed() {
        let settings = BentoSettings {
            tags: vec![("Registered".to_owned(), vec!["customer".to_owned()])],
            bypass_workflows: true,
            ..settings()
        };
        let found = calls(&settings, &[("Registered", "ada@example.com", "{}")]);
        assert_eq!(
            found,
            [r#"fetch/commands {"command":{"command":"add_tag","email":"ada@example.com","query":"customer"}}"#]
        );
    }

    #[test]
    fn commands_are_in_order_and_given_once() {
        let settings = BentoSettings {
            profile: pairs(&[("name", "name")]),
            tags: vec![
                ("Registered".to_owned(), vec!["customer".to_owned(), "new".to_owned()]),
                ("Sale".to_owned(), vec!["customer".to_owned()]),
            ],
            set_fields: vec![(
                "Registered".to_owned(),
                pairs(&[("name", "/name"), ("none", "none"), ("list", "list")]),
            )],
            ..settings()
        };
        let found = calls(
            &settings,
            &[
                ("Registered", "ada@example.com", r#"{"name":"Ada","list":[1]}"#),
                ("Sale", "bob@example.com", "{}"),
                ("Sale", "ADA@example.com", "{}"),
                ("Registered", "ADA@example.com", r#"{"name":"Ada L"}"#),
                ("Other", "cy@example.com", "{}"),
            ],
        );
        let tag = |email: &str, tag: &str| {
            format!(r#"fetch/commands {{"command":{{"command":"add_tag","email":"{email}","query":"{tag}"}}}}"#)
        };
        assert_eq!(
            found,
            [
                r#"batch/subscribers {"subscribers":[{"email":"ada@example.com","name":"Ada L"}]}"#.to_owned(),
                r#"fetch/subscribers {"subscriber":{"email":"ada@example.com"}}"#.to_owned(),
                tag("ada@example.com", "customer"),
                tag("ada@example.com", "new"),
                concat!(
                    r#"fetch/commands {"command":{"command":"add_field","email":"ada@example.com","#,
                    r#""query":{"key":"name","value":"Ada L"}}}"#
                )
                .to_owned(),
                r#"fetch/subscribers {"subscriber":{"email":"bob@example.com"}}"#.to_owned(),
                tag("bob@example.com", "customer"),
            ]
        );
    }
}
