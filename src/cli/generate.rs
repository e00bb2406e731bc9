//! What packagers want: shell completions and the man page, made from the same description as `--help`.

use clap::CommandFactory;

use super::Ending;
use super::args::{Args, CompletionsArgs};
use super::output::Out;

/// `completions SHELL`
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "feedgate", &mut script);
    print(&script)
}

/// `man`
pub fn man() -> anyhow::Result<Ending> {
    let mut page = Vec::new();
    let command = Args::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    // The commands' own pages follow in the same file: one page to search in.
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = format!("feedgate {}", subcommand.get_name());
        let subcommand = subcommand.clone().bin_name(name);
        let man = clap_mangen::Man::new(subcommand);
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    print(&page)
}

fn print(bytes: &[u8]) -> anyhow::Result<Ending> {
    let mut out = Out::new();
    out.bytes(bytes)?;
    out.done()?;
    Ok(Ending::Well)
}
