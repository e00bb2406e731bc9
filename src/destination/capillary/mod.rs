//! Capillary: a loyalty platform, by the webhook that its behavioural events come in at.
//!
//! One event to a request: the webhook takes no more. What an event is called there, who it is of and which values go with it
//! is said by its definition (see [`mapping`](self::mapping)); one without is not sent.
//!
//! **Queued is not taken.** Code 1100 says that an event will be looked at, and nothing of what comes of that. The vendor tells
//! later, to whoever asks by the request's name: so the name of each is kept, as its ticket (`feedgate tickets`).
//!
//! **At least once.** Where an answer is lost, the same event is sent again. The vendor can tell it from a new one if the webhook
//! was registered with `uniquenessCheckEnabled`: then what he knows an event by is its name, the customer, and the fields that
//! its definition calls `isUniqueKeyField`. A second one is kept there, flagged, and gives no points.
//!
//! | in reading order | |
//! |---|---|
//! | `mapping` | an event as the webhook wants it |
//! | `answer`, `reply`, `codes` | what an answer means; how it is read; the vendor's codes |
//! | `api`, `form`, `plan` | definitions there; how they are read; what has to be done to make them like ours |

mod answer;
pub(crate) mod api;
mod codes;
mod form;
mod mapping;
pub(crate) mod plan;
mod reply;

use self::mapping::{Mapped, Mapping, RESERVED};
use super::Reply;
use super::receiver::{Added, Answer, Budget, Call, Needs, Receiver};
use super::wire::{Headers, Reached, Wire};
use crate::config::resolve::CapillarySettings;
use crate::definition::IdentifierType;
use crate::events::{Bounds, Event};

/// What the program calls itself.
const USER_AGENT: &str = concat!("feedgate/", env!("CARGO_PKG_VERSION"));

/// A webhook that events are sent to.
pub(super) struct Capillary {
    wire: Wire,
    headers: Headers,
    mapping: Mapping,
    needs: Needs,
    budget: Option<Budget>,
    /// The event in hand.
    parcel: Option<Mapped>,
    /// What the last request that was taken is called there.
    ticket: Option<String>,
}

impl Capillary {
    /// Prepares for delivery; nothing is dialled. `Err` is [`Reply::Barred`].
    pub(super) fn open(settings: &CapillarySettings, name: &str) -> Result<Capillary, Reply> {
        refuse_unfit_definitions(settings)?;
        let (wire, headers) = way_in(settings)?;
        Ok(Capillary {
            wire,
            headers,
            mapping: Mapping::new(settings),
            needs: needs(settings),
            budget: settings.requests_per_hour.map(|per_hour| Budget {
                site: format!("capillary {name}"),
                kind: "batch",
                per_hour,
                burst: settings.burst,
            }),
            parcel: None,
            ticket: None,
        })
    }
}

/// Asks by a `HEAD` whether anybody is there who lets us in: nothing comes of one. Few webhooks know what to say to it, and so
/// nothing else that is answered matters.
pub(super) fn check(settings: &CapillarySettings) -> Result<(), Reply> {
    refuse_unfit_definitions(settings)?;
    let (wire, headers) = way_in(settings)?;
    match wire.head(wire.base(), &headers) {
        Reached::Answered(response) if matches!(response.status, 401 | 403) => Err(Reply::Barred {
            reason: format!(
                "asking {}: answered {}; see that `user` and the password are the webhook's",
                wire.base(),
                response.status_shown()
            ),
        }),
        Reached::Answered(_) => Ok(()),
        Reached::Untrusted { reason } => Err(Reply::Barred { reason }),
        Reached::NotSent { reason } | Reached::Unanswered { reason } => Err(Reply::Unavailable { reason }),
    }
}

/// By what its definitions know customers, as far as entries may lack it and it may be known of people.
pub(super) fn needs(settings: &CapillarySettings) -> Needs {
    let definitions = settings.definitions.iter().flat_map(|definitions| definitions.iter());
    let identifiers: Vec<IdentifierType> = definitions
        .filter_map(|definition| definition.customer()?.identifier)
        .collect();
    let has = |identifier| identifiers.contains(&identifier);
    match (has(IdentifierType::ExternalId), has(IdentifierType::Email)) {
        (true, true) => Needs::Either,
        (true, false) => Needs::Id,
        (false, true) => Needs::Email,
        (false, false) => Needs::Nothing,
    }
}

/// Definitions say what is sent. Without any, all would be dead letters; a field that is called as something else is would be
/// there twice.
fn refuse_unfit_definitions(settings: &CapillarySettings) -> Result<(), Reply> {
    let barred = |reason| Err(Reply::Barred { reason });
    let Some(definitions) = &settings.definitions else {
        return barred(
            "there are no definitions, and by them alone events are sent: write some beside the configuration, in the directory that \
             `[definitions]` names, or draft them by `feedgate definitions infer ARCHIVE`"
                .to_owned(),
        );
    };
    for definition in definitions.iter() {
        let field = definition
            .fields
            .iter()
            .find(|field| RESERVED.contains(&field.name.as_str()));
        if let Some(field) = field {
            return barred(format!(
                "the definition of `{}` has a field `{}`, and the webhook has another use for this key; call the field otherwise",
                definition.event_name, field.name
            ));
        }
    }
    Ok(())
}

/// The way there, and the headers that let us in.
fn way_in(settings: &CapillarySettings) -> Result<(Wire, Headers), Reply> {
    let barred = |reason| Reply::Barred { reason };
    let mut wire = Wire::open(&settings.endpoint, USER_AGENT)?;
    let mut headers = Headers::default();
    if let Some(authorization) = &settings.authorization {
        wire.authorize(&mut headers, authorization).map_err(barred)?;
    }
    headers.set("Content-Type", "application/json").map_err(barred)?;
    headers.set("Accept", "application/json").map_err(barred)?;
    Ok((wire, headers))
}

impl Receiver for Capillary {
    fn bounds(&self) -> Bounds {
        Bounds {
            events: 1,
            bytes: usize::MAX,
        }
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn clear(&mut self) {
        self.parcel = None;
    }

    fn add(&mut self, event: &Event<'_>) -> Added {
        match self.mapping.map(event) {
            Ok(mapped) => {
                self.parcel = Some(mapped);
                Added::Taken
            }
            Err(added) => added,
        }
    }

    fn bytes(&self) -> usize {
        self.parcel.as_ref().map_or(0, |mapped| mapped.body.len())
    }

    fn budget(&self, _call: &Call) -> Option<Budget> {
        self.budget.clone()
    }

    fn budgets(&self) -> Vec<Budget> {
        self.budget.iter().cloned().collect()
    }

    fn make(&mut self, _call: &Call) -> Answer {
        self.ticket = None;
        let Some(mapped) = &self.parcel else {
            // No call goes before an event here, and none is made without one.
            return Answer::Delivered;
        };
        let to = self.wire.base().clone();
        let reached = self.wire.post(&to, &self.headers, mapped.body.as_bytes());
        let (answer, ticket) = answer::of_event(reached, &self.wire, &mapped.private);
        self.ticket = ticket;
        answer
    }

    fn ticket(&mut self) -> Option<String> {
        self.ticket.take()
    }
}
