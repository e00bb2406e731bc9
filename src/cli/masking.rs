//! What people see of events: without what the definitions of their day called sensitive.
//!
//! An event was held against definitions that the ledger froze beside its import; those say what is masked, whatever is in
//! force today. Where they cannot be had nothing is shown, since nobody knows what would be.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::definition::Definitions;
use crate::ledger::Ledger;

/// Masks events, import after import.
pub struct Masking {
    reveal: bool,
    /// The last set that was asked for: most imports have the same.
    last: Option<Arc<Definitions>>,
}

/// What is masked of one import's events.
#[derive(Clone)]
pub struct Mask(Option<Arc<Definitions>>);

impl Masking {
    /// Masks what is sensitive, unless it is to be revealed.
    pub fn new(reveal: bool) -> Masking {
        Masking { reveal, last: None }
    }

    /// What is masked of the events of an import that was read by definitions of this hash.
    pub async fn of(&mut self, ledger: &Ledger, definitions: Option<&str>) -> anyhow::Result<Mask> {
        let Some(hash) = definitions.filter(|_| !self.reveal) else {
            return Ok(Mask(None));
        };
        if let Some(last) = self.last.as_ref().filter(|last| last.hash() == hash) {
            return Ok(Mask(Some(Arc::clone(last))));
        }
        let doing = "looking for what is to be masked: the ledger does not have the definitions that an import was read by, or \
                     this program cannot read them; `--reveal` shows everything";
        let text = ledger.definitions(hash).await?.context(doing)?;
        let read = Definitions::frozen(&text).ok().context(doing)?;
        let read = Arc::new(read);
        self.last = Some(Arc::clone(&read));
        Ok(Mask(Some(read)))
    }

    /// The same of an import by its number.
    pub async fn of_import(&mut self, ledger: &Ledger, import: i64) -> anyhow::Result<Mask> {
        if self.reveal {
            return Ok(Mask(None));
        }
        let hash = ledger.definitions_of(import).await?;
        self.of(ledger, hash.as_deref()).await
    }
}

impl Mask {
    /// An entry of an event, masked.
    pub fn entry<'e>(&self, event: &str, entry: &'e str) -> Cow<'e, str> {
        match self.0.as_ref().and_then(|definitions| definitions.of(event)) {
            Some(definition) => definition.masked(entry),
            None => Cow::Borrowed(entry),
        }
    }

    /// The line of an event, as it is printed, with its body masked.
    pub fn line<'l>(&self, line: &'l str) -> Cow<'l, str> {
        #[derive(Deserialize)]
        struct Line<'l> {
            event: String,
            #[serde(borrow)]
            body: &'l RawValue,
        }
        let Ok(Line { event, body }) = serde_json::from_str(line) else {
            // No line of ours.
            return Cow::Borrowed("");
        };
        match self.entry(&event, body.get()) {
            Cow::Borrowed(_) => Cow::Borrowed(line),
            // The body comes last, and the brace behind it.
            Cow::Owned(masked) => {
                let before = line.trim_end().len() - 1 - body.get().len();
                Cow::Owned(format!("{}{masked}}}", &line[..before]))
            }
        }
    }
}
