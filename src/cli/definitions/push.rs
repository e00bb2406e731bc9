//! `definitions push`: the vendor's definitions made like ours, with a plan shown first.
//!
//! What is there is asked for, and what follows from it is told: what is new, what is otherwise, what is the same, what cannot be.
//! Nothing is sent before somebody says yes, by `--yes` or at a terminal. What is there and not here is left alone.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::cli::args::PushArgs;
use crate::cli::output::Out;
use crate::cli::{Ending, settings};
use crate::config::resolve::{ApiSettings, DestinationKind, Endpoint, Secret, Settings};
use crate::config::web_base;
use crate::definition::Definitions;
use crate::definition::FieldType::{Boolean, Date, Double, Integer};
use crate::destination::capillary::api::{Api, Failure};
use crate::destination::capillary::plan::{Action, Plan, Step};

/// What came of one definition that was to be sent.
#[derive(Debug, Serialize)]
struct Sent {
    event: String,
    /// The file it is written in.
    file: String,
    outcome: Outcome,
    /// What the vendor said to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    said: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Taken,
    Refused,
    /// No answer came that says so: looking again tells.
    Unknown,
    /// Something before it made sending in vain.
    NotSent,
}

/// Shows the plan, and carries it out if somebody says so.
pub fn run(config: Option<&Path>, args: &PushArgs) -> anyhow::Result<Ending> {
    let settings = settings::load(config)?;
    let wanted = api_settings(&settings, args)?;
    let definitions = settings.definitions.definitions.as_deref();
    let definitions = definitions.context(
        "pushing definitions: there are none beside the configuration; `feedgate definitions infer ARCHIVE` drafts some",
    )?;
    push(definitions, &wanted, args)
}

fn push(definitions: &Definitions, wanted: &ApiSettings, args: &PushArgs) -> anyhow::Result<Ending> {
    let doing = "pushing definitions";
    let mut api = Api::open(wanted).map_err(anyhow::Error::msg).context(doing)?;
    let theirs = api.list().map_err(anyhow::Error::msg).context(doing)?;
    let ours: Vec<_> = definitions.iter().map(|definition| definition.to_vendor()).collect();
    let mut plan = Plan::of(&ours, &theirs);
    warn_of_several(&mut plan, definitions);
    let mut out = Out::new();
    if !args.json {
        print_plan(&mut out, &plan, &api.place())?;
    }
    let says_yes = plan.has_something_to_send() && (args.yes || asks(args, &mut out)?);
    let sent = match says_yes {
        true => send(&mut api, definitions, &plan),
        false => Vec::new(),
    };
    match args.json {
        true => out.json(&serde_json::json!({ "api": api.place(), "plan": plan, "sent": sent }))?,
        false => print_sent(&mut out, &plan, &sent, says_yes)?,
    }
    out.done()?;
    let is_done = sent.iter().all(|sent| sent.outcome == Outcome::Taken);
    let is_left = plan.has_something_to_send() && !says_yes;
    let is_forbidden = plan.steps.iter().any(|step| step.action == Action::Forbidden);
    Ok(match is_done && !is_left && !is_forbidden {
        true => Ending::Well,
        false => Ending::Attention,
    })
}

/// A webhook takes flat texts alone: several values of an array go as one, which is a text and no number or date any more.
fn warn_of_several(plan: &mut Plan, definitions: &Definitions) {
    for step in &mut plan.steps {
        let fields = definitions.named(&step.event).map(|definition| &definition.fields);
        for field in fields.into_iter().flatten() {
            let is_flat = !field.path.is_plural() || !matches!(field.kind, Double | Integer | Boolean | Date);
            if is_flat {
                continue;
            }
            step.warnings.push(format!(
                "`{}` is of type {}, and `{}` may lead to several values: these are sent as one text, with commas between them",
                field.name, field.kind, field.path
            ));
        }
    }
}

/// Where definitions are pushed to: as a destination has it, or as is said.
fn api_settings(settings: &Settings, args: &PushArgs) -> anyhow::Result<ApiSettings> {
    let of_kind = settings
        .destinations
        .iter()
        .filter_map(|destination| match &destination.kind {
            DestinationKind::Capillary(capillary) => Some((destination.name.as_str(), capillary)),
            _ => None,
        });
    let known: Vec<_> = of_kind.collect();
    let named = |name: &String| {
        let found = known.iter().find(|(known, _)| known == name);
        found.with_context(|| format!("pushing definitions: there is no destination `{name}` of type \"capillary\""))
    };
    let chosen = match (&args.to, &args.url) {
        (Some(name), _) => Some(named(name)?.1),
        (None, Some(_)) => None,
        (None, None) => {
            let mut with_api = known.iter().filter(|(_, capillary)| capillary.api.is_some());
            match (with_api.next(), with_api.next()) {
                (Some((_, capillary)), None) => Some(*capillary),
                (Some(_), Some(_)) => {
                    bail!("pushing definitions: there are several destinations with an `api_url`; say which by `--to`")
                }
                (None, _) => bail!(
                    "pushing definitions: no destination of type \"capillary\" says where to; give it `api_url` and a token, or say \
                     `--url` and `--token-file`"
                ),
            }
        }
    };
    let token = token(args)?;
    if let Some(url) = &args.url {
        let url = web_base(url)
            .map_err(anyhow::Error::msg)
            .context("pushing definitions to `--url`")?;
        let of_chosen = chosen.map(|capillary| (capillary.endpoint.clone(), capillary.authorization.clone()));
        let (endpoint, authorization) = of_chosen.unwrap_or((Endpoint::plain(String::new()), None));
        let known = chosen.and_then(|capillary| capillary.api.as_ref()?.token.clone());
        if token.is_none() && known.is_none() && authorization.is_none() {
            bail!("pushing definitions: nothing lets us in; say `--token-file` or `--token-env`");
        }
        return Ok(ApiSettings {
            endpoint: Endpoint { url, ..endpoint },
            token: token.or(known),
            authorization,
        });
    }
    let api = chosen.and_then(|capillary| capillary.api.clone());
    let api = api.context("pushing definitions: this destination has no `api_url`; give it one, or say `--url`")?;
    Ok(ApiSettings {
        token: token.or(api.token),
        ..api
    })
}

/// The token that was named on the command line: never the token itself, which every process could read there.
fn token(args: &PushArgs) -> anyhow::Result<Option<Secret>> {
    let text = match (&args.token_file, &args.token_env) {
        (Some(file), _) => {
            std::fs::read_to_string(file).with_context(|| format!("reading the token from `{}`", file.display()))?
        }
        (None, Some(variable)) => std::env::var(variable)
            .map_err(|_| anyhow::anyhow!("reading the token: the variable that `--token-env` names is not set"))?,
        (None, None) => return Ok(None),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "reading the token: it is empty, or holds a blank, or is not all visible ASCII; the token alone is wanted"
        );
    }
    Ok(Some(Secret::new(text)))
}

/// Asks whoever sits at the terminal, if somebody does.
fn asks(args: &PushArgs, out: &mut Out) -> anyhow::Result<bool> {
    if args.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    out.writer().flush().context("writing the plan")?;
    let mut stderr = std::io::stderr();
    write!(stderr, "Send this? [y/N] ")
        .and_then(|()| stderr.flush())
        .context("asking")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Sends what the plan says, one definition after the other. What makes the next in vain ends it.
fn send(api: &mut Api, definitions: &Definitions, plan: &Plan) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut is_stopped = false;
    for step in plan.steps.iter().filter(|step| step.is_to_be_sent()) {
        let Some(definition) = definitions.named(&step.event) else {
            continue;
        };
        let (outcome, said) = match is_stopped {
            true => (Outcome::NotSent, Vec::new()),
            false => send_one(api, step, &definition.to_vendor(), &mut is_stopped),
        };
        sent.push(Sent {
            event: step.event.clone(),
            file: definition.file.clone(),
            outcome,
            said,
        });
    }
    sent
}

fn send_one(
    api: &mut Api,
    step: &Step,
    definition: &serde_json::Value,
    is_stopped: &mut bool,
) -> (Outcome, Vec<String>) {
    let answer = match step.action {
        Action::Create => api.create(definition),
        _ => api.update(definition),
    };
    let failure = match answer {
        Ok(warnings) => return (Outcome::Taken, warnings),
        Err(failure) => failure,
    };
    *is_stopped = !matches!(failure, Failure::Refused(_));
    let outcome = match failure {
        Failure::Unknown(_) => Outcome::Unknown,
        Failure::Refused(_) | Failure::Stopped(_) => Outcome::Refused,
    };
    (outcome, vec![failure.reason().to_owned()])
}

fn print_plan(out: &mut Out, plan: &Plan, place: &str) -> anyhow::Result<()> {
    out.line(&format!("what {place} needs to be like the definitions here:"))?;
    for step in &plan.steps {
        let what = match step.action {
            Action::Create => "new there",
            Action::Update => "otherwise there",
            Action::Nothing => "the same",
            Action::Forbidden => "otherwise there, and cannot be made like this one: not sent",
            Action::Theirs => "not here: left alone",
        };
        out.line(&format!("  {}: {what}", step.event))?;
        for change in &step.changes {
            out.line(&format!("      {change}"))?;
        }
        for forbidden in &step.forbidden {
            out.line(&format!("      forbidden: {forbidden}"))?;
        }
        for warning in &step.warnings {
            out.line(&format!("      warning: {warning}"))?;
        }
    }
    for warning in &plan.warnings {
        out.line(&format!("warning: {warning}"))?;
    }
    Ok(())
}

fn print_sent(out: &mut Out, plan: &Plan, sent: &[Sent], says_yes: bool) -> anyhow::Result<()> {
    if !plan.has_something_to_send() {
        return out.line("nothing to send");
    }
    if !says_yes {
        return out.line("nothing was sent; `--yes` sends it");
    }
    for one in sent {
        let said = one.said.join("; ");
        let (event, file) = (&one.event, &one.file);
        out.line(&match one.outcome {
            Outcome::Taken if said.is_empty() => format!("{event}: taken"),
            Outcome::Taken => format!("{event}: taken, with a warning: {said}"),
            Outcome::Refused => format!("{event} ({file}): refused: {said}"),
            Outcome::Unknown => {
                format!("{event} ({file}): it may have been taken, run this again to see: {said}")
            }
            Outcome::NotSent => format!("{event} ({file}): not sent, after what came before"),
        })?;
    }
    Ok(())
}
