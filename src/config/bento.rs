//! Destinations at Bento: the site, its keys, its budgets, and what is written about people.

use std::path::PathBuf;

use super::Destination;
use super::form::{Count, Text};
use super::resolve::{BentoSettings, DestinationKind, DestinationSettings, Secret};
use super::resolver::Resolver;
use super::section::Written;
use super::table::{EntryPlace, Label, Table};

/// Bento's own API.
const URL: &str = "https://app.bentonow.com/api/v1";

/// Most events to a call where no number is given: the smaller of the two bounds that Bento's pages name.
const BATCH_EVENTS: u64 = 100;

/// Fields that are no operator's to write: table and field, and why.
const TAKEN: [(&[(&str, &str)], &str); 3] = [
    (&[("profile", "email")], "is who the person is; leave it out"),
    (
        &[("profile", "tags"), ("profile", "remove_tags")],
        "would let a feed's text set and remove tags; use `tags`",
    ),
    (
        &[("fields", "external_id"), ("fields", "business_unit")],
        "is written already, from the entry's `id` and `businessUnit`; leave it out",
    ),
];

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
            publishable_key: self.bento_key(
                destination,
                "publishable_key",
                &destination.publishable_key_file,
                &destination.publishable_key_env,
            ),
            secret_key: self.bento_key(
                destination,
                "secret_key",
                &destination.secret_key_file,
                &destination.secret_key_env,
            ),
            batch_events: batch_events as usize,
            batch_per_hour: self.count("batch_per_hour", &destination.batch_per_hour, per_hour.clone()) as u32,
            fetch_per_hour: self.count("fetch_per_hour", &destination.fetch_per_hour, per_hour) as u32,
            burst: self.count("burst", &destination.burst, 1..=1_000) as u32,
            without_email: destination.without_email.value,
            currency: destination.currency.as_ref().map(|currency| currency.value.0.clone()),
            bypass_workflows: destination.bypass_workflows.value,
            fields: self.places_and_fields("fields", &destination.fields.value),
            profile: self.places_and_fields("profile", &destination.profile.value),
            tags: destination
                .tags
                .value
                .map(|event, tags| (event.0.clone(), tags.0.clone())),
            set_fields: destination.set_fields.value.map(|event, fields| {
                let fields = fields.map(|field, place| (field.0.clone(), place.0.clone()));
                (event.0.clone(), fields)
            }),
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

    /// One of the two keys; an empty one where there is none, which has been told.
    fn bento_key(
        &mut self,
        destination: &Destination,
        what: &str,
        file: &Option<Written<PathBuf>>,
        variable: &Option<Written<Text>>,
    ) -> Secret {
        let keys = [format!("{what}_file"), format!("{what}_env")];
        let Some((key, place)) = keys.iter().find_map(|key| Some((key, destination.place_of(key)?))) else {
            self.problem(
                &destination.place,
                format!("`{what}_file` or `{what}_env` is missing from this `[[destination]]`"),
            );
            return Secret::new("");
        };
        let Some(secret) = self.secret(what, file, variable) else {
            return Secret::new("");
        };
        self.refuse_invisible(key, place, &secret);
        // Basic authentication takes the first colon for the end of the publishable key.
        if secret.reveal().contains(':') {
            self.problem(
                place,
                format!(
                    "`{key}`: it holds a colon; publishable key and secret key are two, each in a place of its own"
                ),
            );
        }
        secret
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
            if let Some((_, why)) = TAKEN.iter().find(|(taken, _)| taken.contains(&(key, name.as_str()))) {
                self.problem(&field.place, format!("`{key}`: the field {name:?} {why}"));
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
                // However the URL is spelt: it is the site that counts.
                !bento.site_uuid.is_empty() && other.site_uuid.eq_ignore_ascii_case(&bento.site_uuid)
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
