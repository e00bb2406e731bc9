//! What lies ahead of a destination, with the definitions that each import was held against, for one that chooses events by
//! them.
//!
//! They change seldom and imports are many: the last few are kept.

use std::sync::Arc;

use super::{Delivery, IMPORTS_MAX, Trouble};
use crate::definition::Definitions;
use crate::ledger::{Ahead, Cursor, Import};

/// Most sets of definitions that are kept.
const KEPT_MAX: usize = 16;

impl Delivery {
    /// What lies ahead of a cursor.
    pub(super) async fn ahead(&mut self, at: Cursor) -> Result<Ahead, Trouble> {
        let (name, sources) = (&self.settings.name, self.settings.sources.clone());
        let mut ahead = self.ledger.ahead(at, name, sources, IMPORTS_MAX).await?;
        if !self.settings.actions.is_empty() {
            for import in &mut ahead.imports {
                import.definitions = self.definitions_of(import).await?;
            }
        }
        Ok(ahead)
    }

    async fn definitions_of(&mut self, import: &Import) -> Result<Option<Arc<Definitions>>, Trouble> {
        let Some(hash) = &import.reading.definitions else {
            return Ok(None);
        };
        if let Some(known) = self.frozen.iter().find(|known| known.hash() == hash) {
            return Ok(Some(Arc::clone(known)));
        }
        // Without them nobody knows what is wanted, and nothing may be passed over on a guess.
        let unknown = |why: &str| {
            Trouble::barred(format!(
                "looking for the definitions that import {} (`{}`) was held against: {why}, and `actions` goes by them; use the \
                 feedgate that imported it, or take `actions` out",
                import.id, import.archive
            ))
        };
        let text = self.ledger.definitions(hash).await?;
        let text = text.ok_or_else(|| unknown("the ledger does not have them"))?;
        let read = Definitions::frozen(&text).map_err(|_| unknown("they cannot be read"))?;
        let read = Arc::new(read);
        if self.frozen.len() >= KEPT_MAX {
            self.frozen.remove(0);
        }
        self.frozen.push(Arc::clone(&read));
        Ok(Some(read))
    }
}
