//! `pack`: the archive a partner should have sent, and what the importer would say of it.

use std::path::Path;

use anyhow::Context;

use super::Ending;
use super::args::PackArgs;
use super::check::{defaults, needs_attention, print};
use super::output::Out;
use super::pack::pack;
use super::vet::{Vetted, vet};

/// Packs, and vets what was packed: a well-packed feed may still be full of bad entries.
pub fn run(config: Option<&Path>, args: &PackArgs) -> anyhow::Result<Ending> {
    let packed = pack(&args.feed, args.dir.as_deref(), crate::ledger::now())?;
    let (rules, limits) = defaults(config)?;
    let mut out = Out::new();
    let mut ending = Ending::Well;
    if let Vetted::Archive(receipt) = vet(&packed.path, &rules, limits.archive_bytes)? {
        if needs_attention(&receipt) {
            ending = Ending::Attention;
        }
        if args.json {
            out.json(&receipt)?;
        } else {
            if let Some(why) = &packed.renamed {
                out.line(&format!("{why}; the archive is named by the present time, in UTC"))?;
            }
            out.line(&format!("{} ({} bytes)", packed.path.display(), packed.zip_bytes))?;
            print(&mut out, &receipt)?;
        }
        if receipt.status == "failed" {
            // It would be failed by the importer too; and once the feed is mended, its name must be free.
            std::fs::remove_file(&packed.path).with_context(|| format!("removing `{}`", packed.path.display()))?;
            if !args.json {
                out.line("The zip is removed again: mend the feed, and pack it anew.")?;
            }
        }
    }
    out.done()?;
    Ok(ending)
}
