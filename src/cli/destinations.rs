//! Destinations in words: all of them for `status`, one in full for `status --destination`.

use super::output::{Out, Table};
use crate::ledger::report::{BudgetReport, DestinationReport, InFlightReport, LettersByKind};

/// Writes a row for each, which fits a terminal; and below, for whom it may concern, a line for each thing there is to say.
pub fn print_all(out: &mut Out, destinations: &[DestinationReport]) -> anyhow::Result<()> {
    table(destinations).write(out)?;
    for destination in destinations {
        let mut remarks = Vec::new();
        remarks.extend(destination.reason.clone());
        remarks.extend(letters(destination.dead_letters_by_kind).map(|letters| format!("dead letters: {letters}")));
        // One that nobody has called on says nothing.
        let drawn_on = |of: &&BudgetReport| of.left < of.per_hour || of.blocked_until.is_some();
        remarks.extend(destination.budgets.iter().filter(drawn_on).map(budget));
        remarks.extend(
            (destination.estimated_end.as_deref()).map(|end| format!("has everything about {}", to_the_second(end))),
        );
        for remark in remarks {
            out.line(&format!("  {}: {remark}", destination.name))?;
        }
    }
    Ok(())
}

/// Writes all that is known of one.
pub fn print_one(out: &mut Out, destination: &DestinationReport) -> anyhow::Result<()> {
    out.line(&format!("destination {} ({})", destination.name, destination.r#type))?;
    for (what, text) in facts(destination) {
        out.line(&format!("  {what:<14} {text}"))?;
    }
    Ok(())
}

fn table(destinations: &[DestinationReport]) -> Table {
    let mut table = Table::new(&[
        "destination",
        "type",
        "state",
        " delivered",
        " to come",
        " behind for",
        " rate",
        " dead letters",
        "next try",
    ]);
    for destination in destinations {
        table.row([
            destination.name.clone(),
            destination.r#type.clone(),
            destination.state.clone(),
            destination.delivered.to_string(),
            destination.lag_events.to_string(),
            behind_for(destination).unwrap_or_default(),
            // How fast it was when it had something to do says nothing of one that has everything.
            rate(destination)
                .filter(|_| destination.lag_imports > 0)
                .unwrap_or_default(),
            destination.dead_letters.to_string(),
            destination.retry_at.as_deref().map(to_the_second).unwrap_or_default(),
        ]);
    }
    table
}

fn facts(destination: &DestinationReport) -> Vec<(&'static str, String)> {
    let mut facts = vec![("state", format!("{} since {}", destination.state, destination.since_at))];
    let mut fact = |what, text: Option<String>| facts.extend(text.map(|text| (what, text)));
    fact("why", destination.reason.clone());
    fact(
        "attempts",
        (destination.attempts > 0).then(|| format!("{} in vain, in a row", destination.attempts)),
    );
    fact("next try", destination.retry_at.clone());
    fact("delivered", Some(delivered(destination)));
    fact(
        "dropped",
        (destination.dropped > 0).then(|| format!("{}: nothing is sent for these, as configured", destination.dropped)),
    );
    fact(
        "sent again",
        (destination.resent > 0).then(|| {
            format!(
                "{}, since no answer had come: these may be there twice",
                destination.resent
            )
        }),
    );
    fact("to come", Some(to_come(destination)));
    fact(
        "at",
        Some(format!("commit {}, index {}", destination.seq, destination.index)),
    );
    fact("rate", rate(destination).map(|rate| format!("{rate} lately")));
    fact("estimated end", destination.estimated_end.clone());
    for of in &destination.budgets {
        fact("budget", Some(budget(of)));
    }
    fact("on its way", destination.in_flight.as_ref().map(in_flight));
    fact(
        "dead letters",
        Some(letters(destination.dead_letters_by_kind).unwrap_or_else(|| "none".to_owned())),
    );
    facts
}

fn delivered(destination: &DestinationReport) -> String {
    match &destination.delivered_at {
        Some(at) => format!("{} events, the last at {at}", destination.delivered),
        None => "nothing yet".to_owned(),
    }
}

fn to_come(destination: &DestinationReport) -> String {
    let events = format!("{} events", destination.lag_events);
    let imports = match destination.lag_imports {
        0 => return "nothing".to_owned(),
        1 => "1 import".to_owned(),
        imports => format!("{imports} imports"),
    };
    let age = span(destination.lag_seconds);
    format!("{events} in {imports}, the oldest from {age} ago")
}

fn in_flight(parcel: &InFlightReport) -> String {
    let mut text = match parcel.events {
        1 => "1 event".to_owned(),
        events => format!("{events} events"),
    };
    match &parcel.since {
        Some(at) => text += &format!(", sent at {at}"),
        None => text += ", not sent yet",
    }
    if parcel.narrowing {
        text += ", in parts, to find those at fault";
    }
    match parcel.unanswered {
        0 => {}
        1 => text += "; no answer came once",
        times => text += &format!("; no answer came {times} times"),
    }
    text
}

fn budget(of: &BudgetReport) -> String {
    let blocked = match &of.blocked_until {
        Some(until) => format!(", and none before {}, as the site asked", to_the_second(until)),
        None => String::new(),
    };
    format!(
        "{} of {} {} calls left in this hour{blocked}",
        of.left, of.per_hour, of.kind
    )
}

/// The kinds there are; `None` if there are no letters.
fn letters(by_kind: LettersByKind) -> Option<String> {
    let counts = [
        (by_kind.refused, "refused"),
        (by_kind.held, "held"),
        (by_kind.deferred, "deferred"),
        (by_kind.unidentified, "unidentified"),
    ];
    let texts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn behind_for(destination: &DestinationReport) -> Option<String> {
    (destination.lag_imports > 0).then(|| span(destination.lag_seconds))
}

fn rate(destination: &DestinationReport) -> Option<String> {
    destination.rate.map(|rate| format!("{rate:.1}/s"))
}

/// How long, in the largest unit there is two of.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time of the ledger's without its milliseconds, which are for programs.
fn to_the_second(at: &str) -> String {
    match at.split_once('.') {
        Some((time, _)) => format!("{time}Z"),
        None => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let check = |seconds, expect: &str| assert_eq!(span(seconds), expect);
        check(0, "0 s");
        check(119, "119 s");
        check(120, "2 min");
        check(7_199, "119 min");
        check(7_200, "2 h");
        check(172_799, "47 h");
        check(172_800, "2 days");
        check(u64::MAX, "213503982334601 days");
    }

    #[test]
    fn times_for_people_have_no_milliseconds() {
        let check = |at: &str, expect: &str| assert_eq!(to_the_second(at), expect);
        check("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z");
        check("99999999999999999", "99999999999999999");
    }
}
