//! What became of the samples: the daemon's own word, held against what each sample says of itself.
//!
//! The word comes from `feedgate status --json`, as any script would get it; only keys that the specification promises are
//! relied upon.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::samples::{Expect, Sample};
use super::world::World;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// How long a wave may take. It usually takes some seconds; a slow machine may take more.
const DEADLINE: Duration = Duration::from_secs(90);

/// What `status --json` prints.
#[derive(Deserialize)]
struct Status {
    imports: Vec<Import>,
}

/// One import, as far as the demo looks at it.
#[derive(Debug, Clone, Deserialize)]
pub struct Import {
    /// Its name for people.
    pub id: i64,
    /// The archive's file name.
    pub archive: String,
    /// `processed`, `failed`, `duplicate`; before that `importing`.
    pub status: String,
    /// Whether it took events in.
    pub imported: bool,
    /// Elements of the array.
    pub entries: u64,
    /// Events taken in.
    pub accepted: u64,
    /// Entries that were not accepted.
    pub rejected: u64,
    /// Archive rules that were not observed.
    pub violations: Vec<Violation>,
    /// `moved`, `left`, `deleted`, `pending`.
    pub disposition: String,
    /// Where the archive is.
    pub path: String,
    /// `late`, `repacked` and so on.
    #[serde(default)]
    pub flags: Vec<String>,
    #[serde(default)]
    receipt: Option<String>,
}

/// An archive rule that was not observed.
#[derive(Debug, Clone, Deserialize)]
pub struct Violation {
    /// Which.
    pub code: String,
    /// How.
    pub detail: String,
}

impl Import {
    /// Whether nothing more is going to happen to it.
    pub fn is_settled(&self) -> bool {
        self.status != "importing" && self.disposition != "pending" && self.receipt.as_deref() != Some("due")
    }
}

/// A sample, and what became of it: `None` if it was not taken up.
pub type Finding = (Sample, Option<Import>);

impl World {
    /// All imports, oldest first; none before the daemon has made its ledger.
    pub async fn imports(&self) -> anyhow::Result<Vec<Import>> {
        let printed = match self.feedgate(&["status", "--json", "--all"]).await {
            Err(_) if !self.path("state/ledger.db").exists() => return Ok(Vec::new()),
            printed => printed?,
        };
        let status: Status =
            serde_json::from_slice(&printed).context("reading what `feedgate status --json` printed")?;
        Ok(status.imports)
    }

    /// Waits until all of these were judged and put away.
    pub async fn findings(&mut self, samples: &[Sample]) -> anyhow::Result<Vec<Finding>> {
        let started = Instant::now();
        loop {
            self.check_daemon()?;
            let findings = matched(samples, &self.imports().await?);
            let open: Vec<&str> = findings
                .iter()
                .filter(|finding| is_open(finding))
                .map(|(sample, _)| sample.name)
                .collect();
            if open.is_empty() {
                return Ok(findings);
            }
            if started.elapsed() > DEADLINE {
                bail!(
                    "waiting for the daemon: after {} s it has not judged {}",
                    DEADLINE.as_secs(),
                    open.join(", ")
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Each sample with its import: the n-th upload of a name is the n-th import of that name.
fn matched(samples: &[Sample], imports: &[Import]) -> Vec<Finding> {
    let mut uploads: HashMap<&str, usize> = HashMap::new();
    let mut findings = Vec::new();
    for sample in samples {
        let nth = uploads.entry(sample.name).or_default();
        let import = imports.iter().filter(|import| import.archive == sample.name).nth(*nth);
        *nth += 1;
        findings.push((sample.clone(), import.cloned()));
    }
    findings
}

fn is_open((sample, import): &Finding) -> bool {
    sample.expect != Expect::Ignored && !import.as_ref().is_some_and(Import::is_settled)
}

/// What is not as the sample says, in a sentence; `None` if all is.
pub fn complaint((sample, import): &Finding) -> Option<String> {
    match (&sample.expect, import) {
        (Expect::Ignored, None) => None,
        (Expect::Ignored, Some(import)) => Some(format!("should have been left alone, and is {}", import.status)),
        (Expect::Judged { .. }, None) => Some("was not taken up".to_owned()),
        (expect, Some(import)) if agrees(expect, import) => misplaced(import),
        (expect, Some(import)) => Some(format!("should be {expect:?}, and is {import:?}")),
    }
}

fn agrees(expect: &Expect, import: &Import) -> bool {
    let Expect::Judged {
        status,
        imported,
        rejected,
        violations,
    } = expect
    else {
        return false;
    };
    let codes = import.violations.iter().map(|violation| violation.code.as_str());
    import.status == *status
        && import.imported.then_some(import.accepted) == *imported
        && import.rejected == *rejected
        && codes.eq(violations.iter().copied())
}

fn misplaced(import: &Import) -> Option<String> {
    let in_place = match import.status.as_str() {
        "failed" => import.disposition == "left" && import.path == import.archive,
        _ => import.disposition == "moved" && import.path.starts_with("processed/"),
    };
    (!in_place).then(|| {
        format!(
            "is {}, and lies at `{}` ({})",
            import.status, import.path, import.disposition
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::waves;
    use super::*;

    fn import(archive: &str, status: &str, accepted: u64, rejected: u64, codes: &[&str]) -> Import {
        let failed = status == "failed";
        Import {
            id: 1,
            archive: archive.to_owned(),
            status: status.to_owned(),
            imported: accepted > 0,
            entries: accepted + rejected,
            accepted,
            rejected,
            violations: codes
                .iter()
                .map(|code| Violation {
                    code: (*code).to_owned(),
                    detail: String::new(),
                })
                .collect(),
            disposition: if failed { "left" } else { "moved" }.to_owned(),
            path: if failed {
                archive.to_owned()
            } else {
                format!("processed/{archive}")
            },
            flags: Vec::new(),
            receipt: None,
        }
    }

    #[test]
    fn what_differs_is_complained_of() {
        let [first, _] = waves();
        let check = |name: &str, import: Option<Import>, complains: bool| {
            let sample = first.iter().find(|sample| sample.name == name).unwrap().clone();
            let said = complaint(&(sample, import));
            assert_eq!(said.is_some(), complains, "{name}: {said:?}");
        };
        let (good, inner) = (first[0].name, "event_history_20260301090000.json.zip");
        check(good, Some(import(good, "processed", 1000, 0, &[])), false);
        check(good, Some(import(good, "processed", 999, 1, &[])), true);
        check(good, Some(import(good, "failed", 1000, 0, &[])), true);
        check(good, None, true);
        check(inner, Some(import(inner, "failed", 3, 0, &["member_name"])), false);
        check(inner, Some(import(inner, "failed", 3, 0, &["not_one_file"])), true);
        let moved = Import {
            path: format!("processed/{inner}"),
            ..import(inner, "failed", 3, 0, &["member_name"])
        };
        check(inner, Some(moved), true);
        check("holiday plan.txt", None, false);
        check(
            "holiday plan.txt",
            Some(import("holiday plan.txt", "failed", 0, 0, &[])),
            true,
        );
    }

    #[test]
    fn the_second_upload_of_a_name_is_its_second_import() {
        let [first, second] = waves();
        let samples = [first[0].clone(), second[0].clone()];
        let imports = [
            import(samples[0].name, "processed", 1000, 0, &[]),
            import(samples[0].name, "duplicate", 0, 0, &[]),
        ];
        let findings = matched(&samples, &imports);
        assert_eq!(findings[0].1.as_ref().unwrap().status, "processed");
        assert_eq!(findings[1].1.as_ref().unwrap().status, "duplicate");
        assert!(matched(&samples, &imports[..1])[1].1.is_none());
    }
}
