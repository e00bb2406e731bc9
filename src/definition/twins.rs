//! No two definitions may have the same name, or lay claim to the same events of a feed: in one file or in several.

use super::Definition;
use super::kind::letters;
use super::problem::{EVENT_EXISTS, Problem};
use super::reader::Read;

/// What definitions lay claim to.
#[derive(Default)]
pub(super) struct Twins {
    /// What is claimed (a name, names in feeds, the letters of names), by which definition, where.
    seen: Vec<(String, String)>,
}

impl Twins {
    /// Notes a definition's claims, or the problem that another one has laid them before.
    pub fn meet(&mut self, definition: &Definition, name: &str, place: &Problem, read: &mut Read) {
        let mut claims = vec![format!("name {name}")];
        match definition.feed_events.is_empty() {
            true => claims.push(format!("letters {}", letters(name).collect::<String>())),
            false => claims.extend(definition.feed_events.iter().map(|event| format!("event {event}"))),
        }
        for claim in claims {
            let Some((_, other)) = self.seen.iter().find(|(seen, _)| *seen == claim) else {
                self.seen
                    .push((claim, format!("`{name}` at {}:{}", place.file, place.line)));
                continue;
            };
            let (what, _) = claim.split_once(' ').unwrap_or_default();
            let (message, hint) = match what {
                "name" => (
                    format!("the event `{name}` is defined already: {other}"),
                    "remove one of the two, or give it another eventName",
                ),
                _ => (
                    format!("`{name}` and {other} are both for the same events of a feed"),
                    "say in `feed.event` of each which events it is for",
                ),
            };
            read.problems
                .push(place.clone().saying(Some(EVENT_EXISTS), message, hint));
            return;
        }
    }
}
