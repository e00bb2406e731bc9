//! The headers of a request, some of which hold secrets.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{Method, Request};

use super::Address;
use crate::config::resolve::{Authorization, Secret};

/// What HTTP itself is made of: a request that says otherwise than it is would be understood differently by each party.
const OURS: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::UPGRADE,
];

/// The headers of a request. They are never shown.
#[derive(Clone, Default)]
pub(in crate::destination) struct Headers(HeaderMap);

impl Headers {
    /// Sets a header, in place of one of that name. `Err` says what is wrong with it, not what its value is.
    pub(in crate::destination) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let shown = crate::telemetry::escaped(name);
        let parsed: HeaderName = name.parse().map_err(|_| format!("`{shown}` is no name of a header"))?;
        if OURS.contains(&parsed) {
            return Err(format!(
                "the header `{shown}` is set by the request itself; leave it out"
            ));
        }
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| format!("the value of the header `{shown}` holds a line end or another control character"))?;
        value.set_sensitive(true);
        self.0.insert(parsed, value);
        Ok(())
    }

    /// Whether a header is set.
    pub(in crate::destination) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn request(&self, method: Method, to: &Address) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = to.uri().clone();
        *request.headers_mut() = self.0.clone();
        request
    }
}

/// What is sent for an authorization: the scheme, and the credentials.
pub(super) fn credentials(authorization: &Authorization) -> (&'static str, Secret) {
    match authorization {
        Authorization::Bearer(token) => ("Bearer", token.clone()),
        Authorization::Basic { user, password } => {
            let pair = format!("{user}:{}", password.reveal());
            ("Basic", Secret::new(BASE64_STANDARD.encode(pair)))
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
