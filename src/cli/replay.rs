//! `retry --import`: an import's events delivered once more. The daemon does so at once, or `once`.

use super::Ending;
use super::args::RetryArgs;
use super::output::Out;
use crate::ledger::{self, Ledger, Replay};

/// Notes in the ledger that an import is to be delivered once more.
pub async fn run(ledger: &Ledger, import: i64, args: &RetryArgs) -> anyhow::Result<Ending> {
    let replay = Replay {
        import,
        only_to: args.to.clone(),
    };
    let asked = match ledger.replay(replay, ledger::now()).await? {
        Ok(asked) => asked,
        Err(refused) => anyhow::bail!("delivering import {import} again: {refused}"),
    };
    let mut out = Out::new();
    match args.json {
        true => out.json(&asked)?,
        false => {
            let to = match args.to.is_empty() {
                true => "every destination that takes its source's events".to_owned(),
                false => args.to.join(", "),
            };
            out.line(&format!(
                "import {} ({}): its {} events go to {to} once more, with the same ids; `feedgate status {}` says how far it is",
                asked.import, asked.archive, asked.events, asked.request
            ))?;
        }
    }
    out.done()?;
    Ok(Ending::Well)
}
