//! Destinations at Capillary: the webhook, what lets us in, what goes with each event; and the API for definitions.

use std::sync::Arc;

use super::Destination;
use super::problem::Place;
use super::resolve::{Authorization, Endpoint, Secret, WithoutEmail};
use super::resolver::Resolver;
use super::section::Written;
use super::web_url::WebUrl;
use crate::definition::Definitions;

/// What `orgResolver` may hold, as the vendor's page has it.
const ORG_RESOLVER: [&str; 3] = ["type", "childOrgId", "tillCode"];

/// A webhook of Capillary's, and the API that keeps the definitions of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct CapillarySettings {
    /// The webhook.
    pub endpoint: Endpoint,
    /// What lets us in.
    pub authorization: Option<Authorization>,
    /// The definitions by which events are sent; `None`: there are none.
    pub definitions: Option<Arc<Definitions>>,
    /// What becomes of an event that has no definition.
    pub without_definition: WithoutDefinition,
    /// What becomes of an event that lacks the identifier its definition asks for.
    pub without_identifier: WithoutEmail,
    /// The till that events are of which name none.
    pub till_code: Option<String>,
    /// Sent with each event as `orgResolver`, key and value. Empty: nothing is.
    pub org_resolver: Vec<(String, String)>,
    /// Requests in any hour; `None`: no limit.
    pub requests_per_hour: Option<u32>,
    /// Requests that may follow each other at once, where there is such a limit.
    pub burst: u32,
    /// Where definitions are pushed to.
    pub api: Option<ApiSettings>,
}

/// The API that keeps the definitions of events.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSettings {
    /// Its base, `https://host`, without a slash at its end.
    pub endpoint: Endpoint,
    /// The OAuth token; none: user and password let us in.
    pub token: Option<Secret>,
    /// User and password.
    pub authorization: Option<Authorization>,
}

/// What becomes of an event that has no definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutDefinition {
    /// A dead letter.
    Refuse,
    /// Left out, and counted.
    Drop,
}

impl Resolver<'_> {
    pub(super) fn capillary(&mut self, destination: &Destination) -> CapillarySettings {
        if !destination.gives("url") {
            self.missing("destination", "url", &destination.place);
        }
        let authorization = self.basic(destination);
        if let Some(url) = &destination.url
            && url.value.is_exposed
        {
            self.refuse_exposed("url", url);
        }
        let url = destination.url.as_ref().map(|url| url.value.text.clone());
        let endpoint = self.endpoint(destination, url.unwrap_or_default());
        let requests_per_hour = destination
            .requests_per_hour
            .as_ref()
            .map(|count| self.count("requests_per_hour", count, 1..=1_000_000) as u32);
        CapillarySettings {
            api: self.api(destination, &endpoint, &authorization),
            endpoint,
            authorization,
            // They are read once all destinations are known, which may list actions.
            definitions: None,
            without_definition: destination.without_definition.value,
            without_identifier: destination.without_identifier.value,
            till_code: destination.till_code.as_ref().map(|till| till.value.0.clone()),
            org_resolver: self.org_resolver(destination),
            requests_per_hour,
            burst: self.count("burst", &destination.burst, 1..=1_000) as u32,
        }
    }

    /// Where definitions are pushed to, by a token of its own or by what lets events in.
    fn api(
        &mut self,
        destination: &Destination,
        webhook: &Endpoint,
        authorization: &Option<Authorization>,
    ) -> Option<ApiSettings> {
        let token = self.secret("token", &destination.token_file, &destination.token_env);
        let token_given = ["token_file", "token_env"]
            .into_iter()
            .find_map(|key| destination.place_of(key).map(|place| (key, place)));
        if let (Some((key, place)), Some(token)) = (token_given, &token) {
            self.refuse_invisible(key, place, token);
        }
        let Some(url) = &destination.api_url else {
            if let Some((key, place)) = token_given {
                self.problem(
                    place,
                    format!("`{key}` without an API: add `api_url`, where definitions are pushed to"),
                );
            }
            return None;
        };
        if url.value.is_exposed {
            self.refuse_exposed("api_url", url);
        }
        if url.value.has_query {
            self.problem(&url.place, "`api_url`: the API's base has no query");
        }
        self.refuse_unauthorized(&url.place, token_given.is_some() || authorization.is_some());
        Some(ApiSettings {
            endpoint: Endpoint {
                url: url.value.text.trim_end_matches('/').to_owned(),
                ..webhook.clone()
            },
            token,
            authorization: authorization.clone(),
        })
    }

    fn refuse_unauthorized(&mut self, place: &Place, is_authorized: bool) {
        if !is_authorized {
            self.problem(
                place,
                "`api_url` without what lets us in: add `token_file` or `token_env`, or `user` and a password",
            );
        }
    }

    fn refuse_exposed(&mut self, key: &str, url: &Written<WebUrl>) {
        self.problem(
            &url.place,
            format!(
                "`{key}`: `http://` would show people's data, and what lets us in, to everyone on the way; write `https://`"
            ),
        );
    }

    fn org_resolver(&mut self, destination: &Destination) -> Vec<(String, String)> {
        let table = &destination.org_resolver.value;
        for (key, value) in &table.0 {
            if !ORG_RESOLVER.contains(&key.0.as_str()) {
                self.problem(
                    &value.place,
                    format!(
                        "`org_resolver` holds `type`, `childOrgId` and `tillCode`, and no {:?}",
                        key.0
                    ),
                );
            }
        }
        table.map(|key, value| (key.0.clone(), value.0.clone()))
    }
}
