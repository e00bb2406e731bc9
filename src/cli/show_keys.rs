//! `keys URL`: asks a server which host keys it has.

use std::time::Duration;

use anyhow::Context;

use super::args::KeysArgs;
use super::output::Out;
use super::{Ending, keys};
use crate::config::url::Url;
use crate::source::host_keys;

/// Deadline for each of the dials.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Dials, once for each type of key, and prints what was shown.
pub async fn run(args: &KeysArgs) -> anyhow::Result<Ending> {
    let (host, port) = server(&args.url)?;
    let asked = host.clone();
    let found = tokio::task::spawn_blocking(move || host_keys(&asked, port, TIMEOUT)).await??;
    let mut out = Out::new();
    match args.json {
        true => out.json(&keys::json(&host, port, &found))?,
        false => out.lines(&keys::text(&host, port, &found))?,
    }
    out.done()?;
    Ok(Ending::Well)
}

/// Host and port of an URL; of a host name alone too, which is what people type.
fn server(text: &str) -> anyhow::Result<(String, u16)> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("sftp://{text}")),
    };
    // The message does not repeat the URL, which may hold a password.
    match url.context("reading the URL")? {
        Url::Sftp { host, port, .. } => Ok((host, port)),
        Url::File(_) => anyhow::bail!("reading the URL: a local directory has no host keys; write `sftp://host:port`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_in_what_is_typed() {
        let check = |text: &str, expect: Option<(&str, u16)>| {
            let found = server(text).ok();
            assert_eq!(found, expect.map(|(host, port)| (host.to_owned(), port)), "{text}");
        };
        check("sftp://example.com", Some(("example.com", 22)));
        check("sftp://acme@example.com:2222/in", Some(("example.com", 2222)));
        check("example.com:2222", Some(("example.com", 2222)));
        check("acme@example.com", Some(("example.com", 22)));
        check("[::1]:2222", Some(("::1", 2222)));
        check("file:///x", None);
        check("sftp://acme:hunter2@example.com", None);
        check("", None);
    }
}
