//! What a receiver said of events, without what is sensitive in them: receivers like to repeat what they were sent.
//!
//! The words go into the log, the status and the dead letters. What is sensitive is what the definitions say that the events
//! were held against when they were imported; they are looked up only when a receiver has something to say.

use super::parcel::Parcel;
use crate::definition::Definitions;
use crate::destination::receiver::{Answer, Verdict};
use crate::hidden::escaped;
use crate::ledger::{Ledger, LedgerError};

/// What stands in place of a value.
const UNSAID: &str = "***";

/// So many characters of a value at the end of a text that was cut are taken for it.
const CUT_CHARS_MIN: usize = 3;

/// The answer to a call, with no sensitive value of the parcel's events in its words.
pub(super) async fn unsaid(ledger: &Ledger, parcel: &Parcel, mut answer: Answer) -> Result<Answer, LedgerError> {
    if words(&mut answer).is_empty() {
        return Ok(answer);
    }
    let mut known: Option<Definitions> = None;
    let mut values = Vec::new();
    for (import, event, body) in parcel.events() {
        let Some(hash) = &import.reading.definitions else {
            continue;
        };
        if known.as_ref().is_none_or(|known| known.hash() != hash) {
            let text = ledger.definitions(hash).await?;
            known = text.and_then(|text| Definitions::frozen(&text).ok());
        }
        match &known {
            Some(known) => values.extend(known.of(event).into_iter().flat_map(|one| one.sensitive_values(body))),
            None => {
                // Nobody knows what may be said.
                words(&mut answer).into_iter().for_each(|text| UNSAID.clone_into(text));
                return Ok(answer);
            }
        }
    }
    values.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    values.dedup();
    for text in words(&mut answer) {
        *text = conceal(text, &values);
    }
    Ok(answer)
}

/// Whatever a receiver said in an answer.
fn words(answer: &mut Answer) -> Vec<&mut String> {
    match answer {
        Answer::Delivered => Vec::new(),
        Answer::Verdicts(verdicts) => verdicts
            .iter_mut()
            .filter_map(|verdict| match verdict {
                Verdict::Delivered => None,
                Verdict::Deferred { reason } | Verdict::Refused { reason } => Some(reason),
            })
            .collect(),
        Answer::Unidentified { reason, .. }
        | Answer::Refused { reason }
        | Answer::TooLarge { reason }
        | Answer::Unavailable { reason, .. }
        | Answer::Unanswered { reason }
        | Answer::Unclear { reason }
        | Answer::Barred { reason } => vec![reason],
    }
}

/// A text without these values, the longest first: where they stand by themselves, plain or as JSON has them, and where one is
/// cut off at the end.
fn conceal(text: &str, values: &[String]) -> String {
    let mut text = text.to_owned();
    for value in values {
        for spelt in spellings(value) {
            text = without(&text, &spelt);
        }
    }
    text
}

fn spellings(value: &str) -> Vec<String> {
    // What a receiver says is laid out anew, on one line.
    let plain = escaped(&value.split_whitespace().collect::<Vec<_>>().join(" "));
    let json = plain.replace('\\', "\\\\").replace('"', "\\\"");
    let mut spellings = vec![plain];
    if json != spellings[0] {
        spellings.push(json);
    }
    spellings.retain(|spelt| !spelt.is_empty());
    spellings
}

fn without(text: &str, value: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        kept.push_str(before);
        // A number may be part of another one, and a name of a word: then it is not what was sent.
        let is_part = before.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        kept.push_str(if is_part { value } else { UNSAID });
        rest = after;
    }
    kept.push_str(rest);
    cut_off(kept, value)
}

/// The same for the beginning of a value before the sign that stands where a text was cut.
fn cut_off(text: String, value: &str) -> String {
    let Some(cut) = text.rfind('…') else { return text };
    let beginnings = value.char_indices().map(|(at, _)| &value[..at]).rev();
    let mut beginnings = beginnings.take_while(|beginning| beginning.chars().count() >= CUT_CHARS_MIN);
    match beginnings.find(|beginning| text[..cut].ends_with(beginning)) {
        Some(beginning) => format!("{}{UNSAID}{}", &text[..cut - beginning.len()], &text[cut..]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_of_what_is_said() {
        let check = |text: &str, values: &[&str], expect: &str| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(conceal(text, &values), expect, "{text}");
        };
        check("said “age 47 is wrong”", &["47"], "said “age *** is wrong”");
        check("HTTP 447: 47", &["47"], "HTTP 447: ***");
        check("Ada Lovelace's", &["Ada  Lovelace"], "***'s");
        check(r#"{"n":"a \"b\""}"#, &[r#"a "b""#], r#"{"n":"***"}"#);
        check("it begins Ada Lo…”", &["Ada Lovelace"], "it begins ***…”");
        check("Adam", &["Ada", ""], "Adam");
        check("Ada", &[], "Ada");
    }
}
