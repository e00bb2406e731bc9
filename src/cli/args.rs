//! What may be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::telemetry::LogFormat;

/// Imports partners' event feeds from SFTP accounts: each archive vetted, recorded exactly once, delivered onward.
#[derive(Debug, Parser)]
#[command(
    name = "feedgate",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Exit codes: 0 all well, 1 something needs attention, 2 could not do it.
Results go to stdout, everything else to stderr."
)]
pub struct Args {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, ClapArgs)]
pub struct Global {
    /// Configuration [default: $FEEDGATE_CONFIG, config/feedgate.toml or /etc/feedgate/feedgate.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Form of the log on stderr [default: text on a terminal, json elsewhere]
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a list such as feedgate=debug,warn [default: $FEEDGATE_LOG]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: poll every source, import, deliver, until told to stop
    Run,
    /// Make one pass over every source and deliver what there is, then exit
    Once,
    /// Vet archives as the importer would, or without any: the configuration and every connection
    Check(CheckArgs),
    /// Make of a feed the archive a partner should send, and vet it
    Pack(PackArgs),
    /// Show imports, what waits, sources and destinations; or one import in full
    Status(StatusArgs),
    /// Print the accepted events, one JSON object a line, straight from the spool
    Events(EventsArgs),
    /// Have archives looked at again, or events delivered again
    Retry(RetryArgs),
    /// Take an import's events back, as if it had never come in
    Undo(UndoArgs),
    /// Forget a person: in the spool, the ledger and local destinations
    Erase(EraseArgs),
    /// List what a destination did not take, and why; or give it up
    DeadLetters(DeadLettersArgs),
    /// List what a destination that only queues events calls each that it took, to be asked for there
    Tickets(TicketsArgs),
    /// List, check and explain event definitions: what an event of a name must look like
    Definitions(DefinitionsArgs),
    /// Show who the events are about: somebody by id or e-mail address, what clashes, or how many there are
    People(PeopleArgs),
    /// Show a server's host keys, and the line that goes into the configuration
    Keys(KeysArgs),
    /// Show it all on this machine alone: an SFTP server, archives good and bad, the daemon
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, in roff
    Man,
}

impl Command {
    /// What is logged when nobody says: what works on its own tells of every archive, the others only of trouble.
    pub fn log_by_default(&self) -> &'static str {
        match self {
            Command::Run | Command::Once => "info",
            _ => "warn",
        }
    }
}

/// `check`
#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// Archives on this machine; without any, the configuration is checked and every source and destination dialled
    #[arg(value_name = "ARCHIVE")]
    pub archives: Vec<PathBuf>,
    /// Hold the archives against this source's rules [default: the only source, else the defaults]
    #[arg(long, value_name = "NAME", requires = "archives")]
    pub source: Option<String>,
    /// Print the receipts as JSON
    #[arg(long)]
    pub json: bool,
}

/// `pack`
#[derive(Debug, ClapArgs)]
pub struct PackArgs {
    /// The feed: a JSON file
    #[arg(value_name = "FEED.json")]
    pub feed: PathBuf,
    /// Where the archive goes [default: beside the feed]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print the receipt as JSON
    #[arg(long)]
    pub json: bool,
}

/// `status`
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// One import in full: its number, or the archive's name (its latest import)
    #[arg(value_name = "ARCHIVE|ID", conflicts_with_all = ["failed", "limit", "all", "health"])]
    pub which: Option<String>,
    /// Only failed imports
    #[arg(long)]
    pub failed: bool,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// One destination in full
    #[arg(long, value_name = "NAME", conflicts_with_all = ["which", "failed", "source", "limit", "all", "health"])]
    pub destination: Option<String>,
    /// How many imports, the newest
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all")]
    pub limit: u64,
    /// All imports
    #[arg(long)]
    pub all: bool,
    /// Only say whether the daemon is alive: for a container's health check
    #[arg(long, conflicts_with_all = ["failed", "source", "limit", "all"])]
    pub health: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `events`
#[derive(Debug, ClapArgs)]
pub struct EventsArgs {
    /// Only of this import, by its number
    #[arg(long, value_name = "ID")]
    pub import: Option<i64>,
    /// Only events of this name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only of imports since then: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show what a definition calls sensitive
    #[arg(long)]
    pub reveal: bool,
}

/// `retry`
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct RetryArgs {
    /// An import's number, or an archive's name
    #[arg(value_name = "ARCHIVE|ID", group = "what")]
    pub which: Option<String>,
    /// Every failed archive that is still in its source's root
    #[arg(long, group = "what")]
    pub failed: bool,
    /// What this destination did not take, of kind refused, held or deferred
    #[arg(long, value_name = "DEST", group = "what")]
    pub dead_letters: Option<String>,
    /// The events of this import, by its number: delivered once more, with the same ids
    #[arg(long, value_name = "ID", group = "what")]
    pub import: Option<i64>,
    /// With --import: only to this destination; may be repeated
    #[arg(long, value_name = "DEST", requires = "import", conflicts_with_all = ["which", "failed", "dead_letters"])]
    pub to: Vec<String>,
    /// With --dead-letters: ranges of kind unidentified as well, though most of their events were taken and come twice then
    #[arg(long, requires = "dead_letters", conflicts_with_all = ["which", "failed"])]
    pub unidentified: bool,
    /// With --dead-letters: only this one, by its number; may be repeated
    #[arg(long = "id", value_name = "N", requires = "dead_letters", conflicts_with_all = ["which", "failed"])]
    pub ids: Vec<i64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `undo`
#[derive(Debug, ClapArgs)]
pub struct UndoArgs {
    /// The import's number
    #[arg(value_name = "ID")]
    pub import: i64,
    /// Do it, without asking
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `erase`
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("who").required(true))]
pub struct EraseArgs {
    /// The person's id
    #[arg(long, value_name = "ID", group = "who")]
    pub id: Option<String>,
    /// The person's e-mail address; upper and lower case are the same
    #[arg(long, value_name = "ADDRESS", group = "who")]
    pub email: Option<String>,
    /// With --email: the business unit; without it, the address that has none
    #[arg(long, value_name = "UNIT", requires = "email", conflicts_with = "id")]
    pub unit: Option<String>,
    /// Do it, without asking
    #[arg(long)]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `dead-letters`
#[derive(Debug, ClapArgs)]
pub struct DeadLettersArgs {
    /// The destination
    #[arg(value_name = "DEST")]
    pub destination: String,
    /// Only this one, by its number; may be repeated
    #[arg(long = "id", value_name = "N")]
    pub ids: Vec<i64>,
    /// How many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with_all = ["ids", "all"])]
    pub limit: u64,
    /// All of them
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Give up for good what --id or --all names
    #[arg(long, conflicts_with = "limit")]
    pub discard: bool,
    /// Print JSON, with the bodies
    #[arg(long)]
    pub json: bool,
    /// With --json: show what a definition calls sensitive
    #[arg(long, requires = "json")]
    pub reveal: bool,
}

/// `definitions`
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct DefinitionsArgs {
    /// What to do with them [default: list]
    #[command(subcommand)]
    pub command: Option<DefinitionsCommand>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be done with definitions.
#[derive(Debug, Subcommand)]
pub enum DefinitionsCommand {
    /// List those that are configured
    List(DefinitionsListArgs),
    /// Hold files against what the vendor checks, or without any: those that are configured
    Check(DefinitionsCheckArgs),
    /// Say what an entry must look like, with an example
    Explain(DefinitionsExplainArgs),
    /// Draft definitions from a sample archive, for people to mend
    Infer(InferArgs),
    /// Show what the vendor's definitions need to be like ours, and send it if told to
    Push(PushArgs),
}

/// `definitions list`
#[derive(Debug, ClapArgs)]
pub struct DefinitionsListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `definitions check`
#[derive(Debug, ClapArgs)]
pub struct DefinitionsCheckArgs {
    /// Files of definitions
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `definitions explain`
#[derive(Debug, ClapArgs)]
pub struct DefinitionsExplainArgs {
    /// The event, by the definition's name for it or a feed's
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tickets`
#[derive(Debug, ClapArgs)]
pub struct TicketsArgs {
    /// The destination
    #[arg(value_name = "DEST")]
    pub destination: String,
    /// Only those of this event, by its id; or this one
    #[arg(long, value_name = "ID")]
    pub find: Option<String>,
    /// Only those of events of this import, by its number
    #[arg(long, value_name = "ID")]
    pub import: Option<i64>,
    /// How many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all")]
    pub limit: u64,
    /// All that are remembered
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `people`
#[derive(Debug, ClapArgs)]
pub struct PeopleArgs {
    /// Whom to look up; without it: how many people are known, and how far they have been read
    #[arg(value_name = "ID|EMAIL")]
    pub who: Option<String>,
    /// Only whoever has the address in this business unit; "" is none
    #[arg(long, value_name = "UNIT", requires = "who")]
    pub unit: Option<String>,
    /// Entries that take two people for one, or one for another
    #[arg(long, conflicts_with = "who")]
    pub clashes: bool,
    /// How many clashes, the newest
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with_all = ["who", "all"])]
    pub limit: u64,
    /// All clashes that are kept
    #[arg(long, conflicts_with = "who")]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `definitions infer`
#[derive(Debug, ClapArgs)]
pub struct InferArgs {
    /// The archive, or a feed by itself (`.json`)
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// Only of the event of this name
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// Write each draft into a file of its own in this directory, instead of printing them
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Print what was seen as well, as JSON
    #[arg(long)]
    pub json: bool,
}

/// `definitions push`
#[derive(Debug, ClapArgs)]
pub struct PushArgs {
    /// To the API of this destination [default: the only one that has `api_url`]
    #[arg(long, value_name = "DEST")]
    pub to: Option<String>,
    /// To the API at this address, instead of the destination's `api_url`
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A file that holds the API's OAuth token, instead of the destination's
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds that token
    #[arg(long, value_name = "VARIABLE")]
    pub token_env: Option<String>,
    /// Send without asking
    #[arg(long)]
    pub yes: bool,
    /// Print the plan and what came of it as JSON; nothing is asked
    #[arg(long)]
    pub json: bool,
}

/// `keys`
#[derive(Debug, ClapArgs)]
pub struct KeysArgs {
    /// The server: sftp://host or sftp://host:port
    #[arg(value_name = "URL")]
    pub url: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `demo`
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// Leave everything in this directory to look at
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Keep running, so that files can be dropped with an SFTP client
    #[arg(long)]
    pub stay: bool,
}

/// `completions`
#[derive(Debug, ClapArgs)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_description_is_sound() {
        Args::command().debug_assert();
    }
}
