//! Which events a destination wants by the actions of their definitions, as these were when the events were imported.
//!
//! Decided once for each name of an event; names are remembered up to a bound, since a feed may have as many as entries.

use std::collections::HashMap;
use std::sync::Arc;

use crate::definition::Definitions;

/// Most names that are remembered.
const NAMES_MAX: usize = 1_000;

/// A route by actions, of one import.
#[derive(Debug)]
pub struct Route {
    actions: Vec<String>,
    definitions: Option<Arc<Definitions>>,
    decided: HashMap<String, bool>,
}

impl Route {
    /// The route of events whose definition among these names one of these actions. Without definitions no event does.
    pub fn new(actions: &[String], definitions: Option<Arc<Definitions>>) -> Route {
        Route {
            actions: actions.to_vec(),
            definitions,
            decided: HashMap::new(),
        }
    }

    /// Whether no event whatever is on it.
    pub fn is_empty(&self) -> bool {
        let definitions = self.definitions.iter().flat_map(|definitions| definitions.iter());
        !definitions
            .into_iter()
            .any(|definition| self.is_named_by(&definition.actions))
    }

    /// Whether events of this name are on it.
    pub(super) fn has(&mut self, event: &str) -> bool {
        if let Some(&decided) = self.decided.get(event) {
            return decided;
        }
        let definition = self.definitions.as_ref().and_then(|definitions| definitions.of(event));
        let is_on_it = definition.is_some_and(|definition| self.is_named_by(&definition.actions));
        if self.decided.len() < NAMES_MAX {
            self.decided.insert(event.to_owned(), is_on_it);
        }
        is_on_it
    }

    fn is_named_by(&self, actions: &[String]) -> bool {
        self.actions.iter().any(|action| actions.contains(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::DefinitionFile;

    fn definitions() -> Arc<Definitions> {
        let customer = r#"[{"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId","valueType":"Enum"}}}]"#;
        let one = |name: &str, actions: &str| {
            format!(r#"{{"eventName":"{name}","actions":[{actions}],"fields":{customer}}}"#)
        };
        let text = format!(
            "[{},{}]",
            one("completedOrder", r#""EIConsumer","lake""#),
            one("viewed", r#""EMFConsumer""#)
        );
        let file = DefinitionFile {
            name: "a.json".to_owned(),
            text,
        };
        Arc::new(Definitions::parse(&[file], &["lake".to_owned()]).expect("definitions"))
    }

    #[test]
    fn by_the_actions_of_their_definitions() {
        let check = |actions: &[&str], event: &str, expect: bool| {
            let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
            let mut route = Route::new(&actions, Some(definitions()));
            assert_eq!(
                (route.has(event), route.has(event)),
                (expect, expect),
                "{actions:?} {event}"
            );
        };
        check(&["lake"], "Completed Order", true);
        check(&["EMFConsumer", "lake"], "Completed Order", true);
        check(&["EMFConsumer"], "Completed Order", false);
        check(&["EMFConsumer"], "Viewed", true);
        check(&["lake"], "Other", false);
    }

    #[test]
    fn routes_that_lead_nowhere() {
        let check = |action: &str, definitions: Option<Arc<Definitions>>, expect: bool| {
            assert_eq!(
                Route::new(&[action.to_owned()], definitions).is_empty(),
                expect,
                "{action}"
            );
        };
        check("lake", Some(definitions()), false);
        check("pond", Some(definitions()), true);
        check("lake", None, true);
    }

    #[test]
    fn names_beyond_the_bound_are_decided_all_the_same() {
        let mut route = Route::new(&["lake".to_owned()], Some(definitions()));
        for number in 0..2 * NAMES_MAX {
            assert!(!route.has(&number.to_string()));
        }
        assert_eq!(route.decided.len(), NAMES_MAX);
        assert!(route.has("Completed Order"));
    }
}
