//! Which files of user feeds are to be read, and which wait: a decision over a listing, and nothing else.
//!
//! A user feed is two files of the same time in their names. It is read when both are there and have settled; only the newest
//! one counts, and what is older than one that was taken in is put away unread. One file alone waits for the other, for as
//! long as an unfinished archive would.

use std::collections::BTreeMap;
use std::time::Duration;

use super::millis;
use crate::archive::FeedName;
use crate::ledger::listing::{Candidate, Postponed, Seen};
use crate::ledger::report;
use crate::verdict::FeedKind;

/// A file of a user feed that lies in the root.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Its name.
    pub name: FeedName,
    /// Its size and mtime.
    pub seen: Seen,
    /// What the ledger says of it, if nothing has become of it yet.
    pub news: Option<News>,
}

/// A file that nothing has become of yet.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// What the ledger says of it.
    pub candidate: Candidate,
    /// Whether it has stopped changing.
    pub is_settled: bool,
}

/// What is to be done about user feeds.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Header and people of the one to read.
    pub read: Option<[File; 2]>,
    /// Files that a newer user feed has come before.
    pub superseded: Vec<File>,
    /// Files whose other half never came.
    pub halves: Vec<File>,
    /// Files whose other half may still come, where that is not written down yet.
    pub waiting: Vec<Postponed>,
    /// What others wait for: a file, and since when it is what it is.
    pub pending: Option<(String, i64)>,
}

/// What the decision depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The time in the name of the newest user feed that was taken in.
    pub newest: Option<i64>,
    /// How long one half may wait for the other.
    pub grace: Duration,
    /// UTC milliseconds.
    pub now: i64,
}

/// Decides, of all user feeds' files in the root.
pub(super) fn plan(files: Vec<File>, terms: Terms) -> Plan {
    let mut by_time = BTreeMap::<i64, Vec<File>>::new();
    for file in files {
        by_time.entry(file.name.at()).or_default().push(file);
    }
    let mut plan = Plan::default();
    // The newest first: as soon as one is to be read, older ones wait for what comes of it.
    for (at, files) in by_time.into_iter().rev() {
        if files.iter().all(|file| file.news.is_none()) {
            continue;
        }
        if terms.newest.is_some_and(|newest| at < newest) {
            let ready = files
                .into_iter()
                .filter(|file| file.news.as_ref().is_some_and(|news| news.is_settled));
            plan.superseded.extend(ready);
            continue;
        }
        plan.note_pending(&files);
        match <[File; 2]>::try_from(files) {
            Ok([one, other]) if plan.read.is_none() && one.is_ready(terms.now) && other.is_ready(terms.now) => {
                let is_in_order = one.name.kind() == FeedKind::Header;
                plan.read = Some(if is_in_order { [one, other] } else { [other, one] });
            }
            Ok(_) => {}
            Err(half) => half.into_iter().for_each(|half| plan.half(half, terms)),
        }
    }
    plan
}

impl File {
    /// Whether it may be read now: it has settled, and is not to be tried again later.
    fn is_ready(&self, now: i64) -> bool {
        let Some(news) = &self.news else { return true };
        let waits = news.candidate.look_at.is_some_and(|at| at > now) && news.candidate.attempts > 0;
        news.is_settled && (!waits || news.candidate.retry_of.is_some())
    }
}

impl Plan {
    /// Others wait for the file that changed last: it is the one that somebody is at.
    fn note_pending(&mut self, files: &[File]) {
        for file in files {
            let Some(news) = &file.news else { continue };
            let changed_at = news.candidate.changed_at;
            if self.pending.as_ref().is_none_or(|(_, at)| *at < changed_at) {
                self.pending = Some((file.seen.name.clone(), changed_at));
            }
        }
    }

    fn half(&mut self, half: File, terms: Terms) {
        let Some(news) = &half.news else { return };
        if !news.is_settled {
            return;
        }
        let candidate = &news.candidate;
        let failed_at = candidate.changed_at.saturating_add(millis(terms.grace));
        if failed_at <= terms.now || candidate.retry_of.is_some() {
            self.halves.push(half);
            return;
        }
        if candidate.look_at == Some(failed_at) {
            return; // written down already
        }
        self.waiting.push(Postponed {
            name: half.seen.name.clone(),
            waiting: format!(
                "for `{}`, the other file of this user feed; failed as user_feed_half at {} unless it comes",
                half.name.other().unwrap_or_default(),
                report::time(failed_at)
            ),
            look_at: Some(failed_at),
            attempts: 0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{NameClass, classify};

    const NOW: i64 = 10_000_000;

    /// A file by its name, and when it changed last; `None`: something has become of it.
    fn file(name: &str, changed_at: Option<i64>) -> File {
        let NameClass::Feed(feed) = classify(name) else {
            panic!("{name} is no feed's");
        };
        let seen = Seen {
            name: name.to_owned(),
            size: 1,
            mtime: 1,
        };
        let news = changed_at.map(|changed_at| News {
            is_settled: changed_at <= NOW - 5_000,
            candidate: Candidate {
                seen: seen.clone(),
                first_seen_at: changed_at,
                changed_at,
                fresh: false,
                attempts: 0,
                look_at: None,
                retry_of: None,
                failed_before: None,
                held: false,
            },
        });
        File { name: feed, seen, news }
    }

    fn header(day: u32, changed_at: Option<i64>) -> File {
        file(&format!("user_feed_header_202003{day:02}000000.json"), changed_at)
    }

    fn data(day: u32, changed_at: Option<i64>) -> File {
        file(&format!("user_feed_data_202003{day:02}000000.json"), changed_at)
    }

    const LONG_AGO: Option<i64> = Some(0);
    const SETTLED: Option<i64> = Some(NOW - 6_000);
    const JUST_NOW: Option<i64> = Some(NOW - 1_000);

    /// What is read, superseded, failed as a half, told to wait; and what others wait for.
    fn check(files: Vec<File>, newest_day: Option<u32>, expect: [&str; 5]) {
        let newest = newest_day.map(|day| header(day, None).name.at());
        let terms = Terms {
            newest,
            grace: Duration::from_secs(600),
            now: NOW,
        };
        let plan = plan(files, terms);
        let short = |name: &str| format!("{}{}", &name[10..11], &name[name.len() - 13..name.len() - 11]);
        let names = |files: &[File]| {
            files
                .iter()
                .map(|file| short(&file.seen.name))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let waiting: Vec<_> = plan.waiting.iter().map(|waits| short(&waits.name)).collect();
        let found = [
            plan.read.as_ref().map_or(String::new(), |pair| names(pair)),
            names(&plan.superseded),
            names(&plan.halves),
            waiting.join(" "),
            plan.pending.map_or(String::new(), |(name, _)| short(&name)),
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn a_pair_is_read_when_both_have_settled() {
        check(vec![], None, ["", "", "", "", ""]);
        check(
            vec![data(1, SETTLED), header(1, SETTLED)],
            None,
            ["h01 d01", "", "", "", "d01"],
        );
        check(
            vec![data(1, JUST_NOW), header(1, SETTLED)],
            None,
            ["", "", "", "", "d01"],
        );
        check(vec![data(1, None), header(1, None)], None, ["", "", "", "", ""]);
    }

    #[test]
    fn a_mended_half_is_read_with_the_other_that_is_still_there() {
        check(
            vec![data(1, None), header(1, SETTLED)],
            None,
            ["h01 d01", "", "", "", "h01"],
        );
    }

    #[test]
    fn one_half_waits_and_fails_in_the_end() {
        check(vec![header(1, JUST_NOW)], None, ["", "", "", "", "h01"]);
        check(vec![header(1, SETTLED)], None, ["", "", "", "h01", "h01"]);
        check(vec![header(1, LONG_AGO)], None, ["", "", "h01", "", "h01"]);
        check(
            vec![header(1, SETTLED), data(2, SETTLED)],
            None,
            ["", "", "", "d02 h01", "d02"],
        );
    }

    #[test]
    fn only_the_newest_pair_is_read() {
        let pairs = || {
            vec![
                data(1, SETTLED),
                header(1, SETTLED),
                header(2, SETTLED),
                data(2, SETTLED),
            ]
        };
        check(pairs(), None, ["h02 d02", "", "", "", "h02"]);
        check(pairs(), Some(2), ["h02 d02", "d01 h01", "", "", "h02"]);
        check(pairs(), Some(3), ["", "h02 d02 d01 h01", "", "", ""]);
    }

    #[test]
    fn a_newer_one_that_is_not_whole_holds_up_no_older_one() {
        let files = vec![data(1, SETTLED), header(1, SETTLED), header(2, JUST_NOW)];
        check(files, None, ["h01 d01", "", "", "", "h02"]);
    }
}
