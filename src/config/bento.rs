//! Destinations at Bento: the site, its keys, its budgets, and what is written about people.

use super::Destination;
use super::form::{Count, Currency};
use super::problem::Place;
use super::resolve::{BentoSettings, DestinationKind, DestinationSettings, Secret};
use super::resolver::Resolver;
use super::table::{EntryPlace, Label, Table};

/// Bento's own API.
const URL: &str = "https://app.bentonow.com/api/v1";

/// Most events to a call where no number is given: what Bento recommends.
const BATCH_EVENTS: u64 = 100;

impl Resolver<'_> {
    pub(super) fn bento(&mut self, destination: &Destination) -> BentoSettings {
        if !destination.gives("site_uuid") {
            self.missing("destination", "site_uuid", &destination.place);
        }
        let url = self.bento_url(destination);
        let per_hour = 1..=1_000_000;
        let batch_events = match &destination.batch_events {
            Some(events) => self.count("batch_events", events, 1..=1_000),
            None => BATCH_EVENTS,
        };
        BentoSettings {
            endpoint: self.endpoint(destination, url),
            site_uuid: destination
                .site_uuid
                .as_ref()
                .map_or_else(String::new, |site| site.value.0.clone()),
            publishable_key: self.publishable_key(destination),
            secret_key: self.bento_key(destination, "secret_key"),
            batch_events: batch_events as usize,
            batch_per_hour: self.count("batch_per_hour", &destination.batch_per_hour, per_hour.clone()) as u32,
            fetch_per_hour: self.count("fetch_per_hour", &destination.fetch_per_hour, per_hour) as u32,
            burst: self.count("burst", &destination.burst, 1..=1_000) as u32,
            without_email: destination.without_email.value,
            currency: destination.currency.as_ref().map(|currency| {
                let Currency(code) = &currency.value;
                code.clone()
            }),
            bypass_workflows: destination.bypass_workflows.value,
            fields: self.places_and_fields("fields", &destination.fields.value),
            profile: self.places_and_fields("profile", &destination.profile.value),
            tags: destination
                .tags
                .value
                .0
                .iter()
                .map(|(event, tags)| (event.0.clone(), tags.value.0.clone()))
                .collect(),
            set_fields: destination
                .set_fields
                .value
                .0
                .iter()
                .map(|(event, fields)| {
                    let fields = fields.value.0.iter();
                    let fields = fields.map(|(field, place)| (field.0.clone(), place.value.0.clone()));
                    (event.0.clone(), fields.collect())
                })
                .collect(),
        }
    }

    /// The API's base: what comes after it in a call is ours.
    fn bento_url(&mut self, destination: &Destination) -> String {
        let Some(url) = &destination.url else {
            return URL.to_owned();
        };
        if url.value.has_query {
            self.problem(
                &url.place,
                "`url`: the API's base has no query; `site_uuid` is a key of its own",
            );
        }
        if url.value.is_exposed {
            self.problem(
                &url.place,
                "`url`: `http://` would show the keys to everyone on the way; write `https://`",
            );
        }
        url.value.text.trim_end_matches('/').to_owned()
    }

    fn publishable_key(&mut self, destination: &Destination) -> Secret {
        let key = self.bento_key(destination, "publishable_key");
        // It is the user of Basic authentication, which ends at the first colon.
        if key.reveal().contains(':')
            && let Some(place) = secret_place(destination, "publishable_key")
        {
            self.problem(place, "`publishable_key`: it holds a colon, and would end there");
        }
        key
    }

    /// One of the two keys; an empty one where there is none, which has been told.
    fn bento_key(&mut self, destination: &Destination, what: &'static str) -> Secret {
        let Some(place) = secret_place(destination, what) else {
            self.problem(
                &destination.place,
                format!("`{what}_file` or `{what}_env` is missing from this `[[destination]]`"),
            );
            return Secret::new("");
        };
        let (file, variable) = match what {
            "secret_key" => (&destination.secret_key_file, &destination.secret_key_env),
            _ => (&destination.publishable_key_file, &destination.publishable_key_env),
        };
        self.secret(what, file, variable)
            .and_then(|key| self.visible(place, what, key))
            .unwrap_or_else(|| Secret::new(""))
    }

    /// Places in the entry and the fields they are written to; no field has two.
    fn places_and_fields(&mut self, key: &str, table: &Table<EntryPlace, Label>) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (from, field) in &table.0 {
            let name = &field.value.0;
            if pairs.iter().any(|(_, other)| other == name) {
                self.problem(
                    &field.place,
                    format!("`{key}`: two places are written to the field {name:?}; leave one out"),
                );
            }
            pairs.push((from.0.clone(), name.clone()));
        }
        pairs
    }

    /// A budget belongs to a site: destinations that share one must agree on what it is.
    pub(super) fn refuse_disputed_budgets(&mut self, written: &[Destination], destinations: &[DestinationSettings]) {
        let mut seen: Vec<(&Destination, &str, &BentoSettings)> = Vec::new();
        for (written, settings) in written.iter().zip(destinations) {
            let DestinationKind::Bento(bento) = &settings.kind else {
                continue;
            };
            let is_same_site = |other: &BentoSettings| {
                !bento.site_uuid.is_empty()
                    && (&other.endpoint.url, &other.site_uuid) == (&bento.endpoint.url, &bento.site_uuid)
            };
            if let Some((first, name, _)) = seen.iter().find(|(_, _, other)| is_same_site(other)) {
                self.refuse_disputed_budget(written, first, name);
                continue;
            }
            seen.push((written, &settings.name, bento));
        }
    }

    fn refuse_disputed_budget(&mut self, destination: &Destination, first: &Destination, name: &str) {
        let numbers = |of: &Destination| {
            [
                ("batch_per_hour", of.batch_per_hour.value),
                ("fetch_per_hour", of.fetch_per_hour.value),
                ("burst", of.burst.value),
            ]
        };
        for ((key, Count(ours)), (_, Count(theirs))) in numbers(destination).into_iter().zip(numbers(first)) {
            if ours != theirs {
                let place = destination.place_of(key).unwrap_or(&destination.place);
                self.problem(
                    place,
                    format!(
                        "`{key}` is {ours} here and {theirs} in destination `{name}`: it belongs to the site, which both have; write \
                         the same number in both"
                    ),
                );
            }
        }
    }
}

/// Where a secret, or its file or variable, was named.
fn secret_place<'a>(destination: &'a Destination, what: &str) -> Option<&'a Place> {
    let file = destination.place_of(&format!("{what}_file"));
    file.or(destination.place_of(&format!("{what}_env")))
}
