//! The site's tags: asked for by `check`, which thereby dials Bento, with its keys and its site, and changes nothing.

use std::collections::{BTreeSet, HashMap};

use super::answer;
use super::site::Site;
use crate::config::resolve::BentoSettings;
use crate::destination::Reply;
use crate::destination::entry::{Entry, Value};
use crate::destination::receiver::Answer;

/// Asks for the site's tags, and says which of those that events are mapped to are not among them. That is no fault: Bento
/// makes a tag when it is given first. It may be a slip of the pen, though.
pub(in crate::destination) fn check(settings: &BentoSettings) -> Result<(), Reply> {
    let site = Site::open(settings)?;
    let response = answer::taken("fetch/tags", site.get("fetch/tags"), &site).map_err(of_answer)?;
    if !response.is_whole && response.body.starts_with(b"{") {
        // More tags than are worth reading: what was to be known of keys and site is known.
        return Ok(());
    }
    let Some(body) = answer::object(&response) else {
        return Err(of_answer(answer::no_json("fetch/tags", &response, &site)));
    };
    for remark in Tags::of(&body).remarks(settings) {
        // `check` shows no log below this.
        tracing::warn!("{remark}");
    }
    Ok(())
}

/// The tags of a site, by name.
struct Tags(HashMap<String, Standing>);

/// How a tag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Kept,
    Discarded,
}

impl Tags {
    fn of(body: &Entry<'_>) -> Tags {
        let mut tags = HashMap::new();
        for tag in body.get("data").and_then(Value::elements).unwrap_or_default() {
            let Some(attributes) = tag.entry().and_then(|tag| tag.get("attributes")?.entry()) else {
                continue;
            };
            let Some(name) = attributes.get("name").and_then(Value::text) else {
                continue;
            };
            let standing = match attributes.get("discarded_at") {
                Some(_) => Standing::Discarded,
                None => Standing::Kept,
            };
            // A name may have been discarded and given again.
            let known = tags.entry(name.into_owned()).or_insert(standing);
            if standing == Standing::Kept {
                *known = standing;
            }
        }
        Tags(tags)
    }

    /// What is to be said of the tags that events are mapped to.
    fn remarks(&self, settings: &BentoSettings) -> Vec<String> {
        let mapped: BTreeSet<&String> = settings.tags.iter().flat_map(|(_, tags)| tags).collect();
        mapped
            .into_iter()
            .filter_map(|tag| match self.0.get(tag) {
                Some(Standing::Kept) => None,
                Some(Standing::Discarded) => Some(format!(
                    "the tag `{tag}` was discarded in Bento, and will be there again"
                )),
                None => Some(format!(
                    "Bento does not know the tag `{tag}` yet, and will make it when it is given first"
                )),
            })
            .collect()
    }
}

/// What an answer comes to where nothing was sent.
fn of_answer(answer: Answer) -> Reply {
    match answer {
        Answer::Barred { reason } | Answer::Refused { reason } | Answer::Unclear { reason } => Reply::Barred { reason },
        Answer::Unavailable { reason, .. } | Answer::Unanswered { reason } | Answer::TooLarge { reason } => {
            Reply::Unavailable { reason }
        }
        Answer::Delivered | Answer::Verdicts(_) | Answer::Unidentified { .. } => Reply::Unavailable {
            reason: "`fetch/tags` was not answered".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::bento::tests::settings;

    #[test]
    fn tags_by_name() {
        let body = r#"{"data":[
            {"id":"1","type":"tags","attributes":{"name":"customer","discarded_at":null}},
            {"id":"2","type":"tags","attributes":{"name":"gone","discarded_at":"2024-05-22T22:00:00Z"}},
            {"id":"3","type":"tags","attributes":{"name":"back"}},
            {"id":"4","type":"tags","attributes":{"name":"back","discarded_at":"2024-05-22T22:00:00Z"}},
            {"id":"5"},7,null,{"attributes":{"name":{}}}]}"#;
        let tags = Tags::of(&Entry::of(body).expect("an object"));
        let check = |name: &str, expect: Option<Standing>| assert_eq!(tags.0.get(name).copied(), expect, "{name}");
        check("customer", Some(Standing::Kept));
        check("gone", Some(Standing::Discarded));
        check("back", Some(Standing::Kept));
        check("new", None);
        assert_eq!(tags.0.len(), 3);
        let named = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        let settings = BentoSettings {
            tags: vec![
                ("a".to_owned(), named(&["new", "customer", "gone"])),
                ("b".to_owned(), named(&["new", "back"])),
            ],
            ..settings()
        };
        assert_eq!(
            tags.remarks(&settings),
            [
                "the tag `gone` was discarded in Bento, and will be there again",
                "Bento does not know the tag `new` yet, and will make it when it is given first",
            ]
        );
        for body in ["{}", r#"{"data":null}"#, r#"{"data":{}}"#] {
            assert!(Tags::of(&Entry::of(body).expect("an object")).0.is_empty());
        }
    }
}
