//! Destinations that are reached by HTTP: where requests go, what lets them in, what they look like.

use super::header::{HeaderName, HeaderValue};
use super::problem::Place;
use super::resolve::{Authorization, Endpoint, HttpCompression, HttpFormat, HttpSettings, Secret};
use super::resolver::Resolver;
use super::words::{Compression, Format};
use super::{Destination, KIB, MIB, MINUTE, SECOND};

/// Most events to a request where no number is given.
const BATCH_EVENTS: u64 = 1_000;

/// Highest level of zstd for bodies: those above are for archives, and take a window of up to 128 MiB.
const ZSTD_LEVEL_MAX: i32 = 19;

impl Resolver<'_> {
    fn http_compression(&mut self, destination: &Destination) -> HttpCompression {
        let Some(compression) = &destination.compression else {
            return HttpCompression::None;
        };
        match compression.value {
            Compression::None => HttpCompression::None,
            Compression::Gzip => HttpCompression::Gzip,
            Compression::Zstd(level) => {
                if level > ZSTD_LEVEL_MAX {
                    self.problem(
                        &compression.place,
                        format!(
                            "`compression` is {level}: up to {ZSTD_LEVEL_MAX} is wanted for \"http\"; beyond it a batch takes \
                             hundreds of megabytes and half a minute"
                        ),
                    );
                }
                HttpCompression::Zstd(level)
            }
        }
    }

    pub(super) fn http(&mut self, destination: &Destination) -> HttpSettings {
        if !destination.gives("url") {
            self.missing("destination", "url", &destination.place);
        }
        let url = destination.url.as_ref().map(|url| url.value.text.clone());
        let batch_bytes = self.size("batch_bytes", &destination.batch_bytes, KIB..=64 * MIB);
        let batch_events = match &destination.batch_events {
            Some(events) => self.count("batch_events", events, 1..=10_000),
            None => BATCH_EVENTS,
        };
        HttpSettings {
            endpoint: self.endpoint(destination, url.unwrap_or_default()),
            headers: self.headers(destination),
            authorization: self.authorization(destination),
            signing_key: self.secret(
                "signing_key",
                &destination.signing_key_file,
                &destination.signing_key_env,
            ),
            format: self.http_format(destination),
            compression: self.http_compression(destination),
            batch_events: batch_events as usize,
            batch_bytes: batch_bytes as usize,
            statuses: destination.statuses.value.map(|status, meaning| (status.0, *meaning)),
        }
    }

    /// What every destination at the far end of a network has.
    pub(super) fn endpoint(&mut self, destination: &Destination, url: String) -> Endpoint {
        Endpoint {
            url,
            roots: destination
                .ca_file
                .as_ref()
                .and_then(|file| self.certificates("ca_file", file)),
            timeout: self.duration("timeout", &destination.timeout, SECOND..=10 * MINUTE),
        }
    }

    fn http_format(&mut self, destination: &Destination) -> HttpFormat {
        let Some(format) = &destination.format else {
            return HttpFormat::Ndjson;
        };
        match format.value {
            Format::Ndjson => HttpFormat::Ndjson,
            Format::Array => HttpFormat::Array,
            Format::Parquet => {
                self.problem(
                    &format.place,
                    "`format`: \"parquet\" is for destinations of type \"file\"; an \"http\" has \"ndjson\" or \"array\"",
                );
                HttpFormat::Ndjson
            }
        }
    }

    /// Headers from the configuration itself, then those from files.
    fn headers(&mut self, destination: &Destination) -> Vec<(String, Secret)> {
        let mut headers = destination
            .headers
            .value
            .map(|name, value| (name.0.clone(), Secret::new(value.0.clone())));
        for (name, file) in &destination.header_files.value.0 {
            let key = format!("header_files.{}", name.0);
            let Some(value) = self.secret_line(&key, file) else {
                continue;
            };
            if let Err(wanted) = HeaderValue::new(value.reveal()) {
                self.problem(&file.place, format!("`{key}`: what the file holds: {wanted}"));
            }
            headers.push((name.0.clone(), value));
        }
        self.refuse_twin_headers(destination);
        headers
    }

    /// Names of headers know no capitals: `X-A` and `x-a` are one header with two values.
    fn refuse_twin_headers(&mut self, destination: &Destination) {
        let (headers, files) = (&destination.headers.value.0, &destination.header_files.value.0);
        let written = headers.iter().map(|(name, value)| (name, &value.place));
        let in_files = files.iter().map(|(name, file)| (name, &file.place));
        let mut seen: Vec<&HeaderName> = Vec::new();
        for (name, place) in written.chain(in_files) {
            if seen.iter().any(|other| other.0.eq_ignore_ascii_case(&name.0)) {
                self.problem(place, format!("the header `{}` is given twice; leave one out", name.0));
            }
            seen.push(name);
        }
    }

    /// What lets us in: a token, or a user with a password, or nothing.
    fn authorization(&mut self, destination: &Destination) -> Option<Authorization> {
        let bearer = self.secret("bearer", &destination.bearer_file, &destination.bearer_env);
        let Some((key, place)) = given(destination, &["bearer_file", "bearer_env"]) else {
            return self.basic(destination);
        };
        if let Some((other, place)) = given(destination, &["user", "password_file", "password_env"]) {
            self.problem(
                place,
                format!("`{other}` and `{key}` are both given, and a request is let in by one; leave one out"),
            );
            return None;
        }
        let bearer = bearer?;
        self.refuse_invisible(key, place, &bearer);
        Some(Authorization::Bearer(bearer))
    }

    /// A user with a password, or nothing.
    pub(super) fn basic(&mut self, destination: &Destination) -> Option<Authorization> {
        let password = self.secret("password", &destination.password_file, &destination.password_env);
        let user_given = given(destination, &["user"]);
        match (user_given, given(destination, &["password_file", "password_env"])) {
            (None, None) => None,
            (Some((_, place)), Some(_)) => {
                let user = destination.user.as_ref()?.value.0.clone();
                // Basic authentication takes the first colon for the user's end.
                if user.contains(':') {
                    self.problem(place, "`user` holds a colon, and would end there");
                }
                let password = password?;
                Some(Authorization::Basic { user, password })
            }
            (Some((_, place)), None) => {
                self.problem(
                    place,
                    "`user` without a password: add `password_file` or `password_env`",
                );
                None
            }
            (None, Some((key, place))) => {
                self.problem(place, format!("`{key}` without a user: add `user`"));
                None
            }
        }
    }

    /// A secret that goes into a header must not end it.
    pub(super) fn refuse_invisible(&mut self, key: &str, place: &Place, secret: &Secret) {
        if !secret.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            self.problem(
                place,
                format!(
                    "`{key}`: what it leads to holds a blank, or is not all visible ASCII; the secret alone is wanted"
                ),
            );
        }
    }
}

/// The first of some keys that a destination gives, and where.
fn given<'d>(destination: &'d Destination, keys: &[&'static str]) -> Option<(&'static str, &'d Place)> {
    keys.iter()
        .find_map(|key| destination.place_of(key).map(|place| (*key, place)))
}
