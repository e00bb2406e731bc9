//! Being let in: private key, agent, password, keyboard-interactive, in that order, as far as they are configured and the
//! server allows them.
//!
//! A server may want several one after the other (`AuthenticationMethods publickey,password`): each step that it takes
//! changes what it offers next, so the offer is asked for again before a method is passed over.
//!
//! No secret is ever part of a message here.

use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt, Session};

use super::super::excerpt;
use super::connect::{NotIn, words};
use super::deadline::Deadline;
use crate::config::resolve::{PrivateKey, Secret, SftpSettings};

/// Keys of the agent that are tried. Servers hang up after six attempts or so.
const AGENT_KEYS_MAX: usize = 16;

/// What a single attempt came to.
enum Attempt {
    In,
    /// Not let in by this, and why.
    Out(String),
}

/// Logs in.
pub(super) fn authenticate(session: &Session, settings: &SftpSettings, deadline: &Deadline) -> Result<(), NotIn> {
    let mut login = Login {
        session,
        user: &settings.user,
        deadline,
        offered: Vec::new(),
        tried: Vec::new(),
    };
    login.ask_what_is_offered()?;
    if session.authenticated() {
        return Ok(()); // no authentication at all is wanted
    }
    if let Some(key) = &settings.private_key
        && login.step("publickey", |login| login.private_key(key))?
    {
        return Ok(());
    }
    if settings.agent && login.step("publickey", Login::agent)? {
        return Ok(());
    }
    if let Some(password) = &settings.password {
        if login.step("password", |login| login.password(password))? {
            return Ok(());
        }
        if login.step("keyboard-interactive", |login| login.keyboard_interactive(password))? {
            return Ok(());
        }
    }
    Err(NotIn::Barred(login.report()))
}

struct Login<'a> {
    session: &'a Session,
    user: &'a str,
    deadline: &'a Deadline,
    /// Methods that the server would take now.
    offered: Vec<String>,
    /// What was tried, and what came of it.
    tried: Vec<String>,
}

impl Login<'_> {
    fn arm(&self) -> Result<(), NotIn> {
        self.deadline.arm(self.session).map_err(NotIn::Lost)
    }

    fn ask_what_is_offered(&mut self) -> Result<(), NotIn> {
        self.arm()?;
        match self.session.auth_methods(self.user) {
            Ok(methods) => self.offered = methods.split(',').map(excerpt).collect(),
            Err(_) if self.session.authenticated() => {}
            Err(error) if lost(&error) => return Err(NotIn::Lost(words(&error))),
            Err(error) => return Err(NotIn::Barred(words(&error))),
        }
        Ok(())
    }

    /// Tries one method, if the server offers it; whether we are in.
    fn step(&mut self, method: &str, attempt: impl FnOnce(&mut Self) -> Result<Attempt, NotIn>) -> Result<bool, NotIn> {
        let offers = |login: &Self| login.offered.iter().any(|offered| offered == method);
        if !offers(self) && !self.tried.is_empty() {
            self.ask_what_is_offered()?;
        }
        if !offers(self) {
            return Ok(false);
        }
        self.arm()?;
        match attempt(self)? {
            Attempt::In => Ok(true),
            Attempt::Out(what) => {
                self.tried.push(what);
                // A method that was taken as one step of several reports failure as well; the server's offer tells.
                Ok(self.session.authenticated())
            }
        }
    }

    fn private_key(&mut self, key: &PrivateKey) -> Result<Attempt, NotIn> {
        let path = key.path.display();
        let passphrase = key.passphrase.as_ref().map(Secret::reveal);
        match self
            .session
            .userauth_pubkey_memory(self.user, None, key.text.reveal(), passphrase)
        {
            Ok(()) => Ok(Attempt::In),
            Err(error) if refused(&error) => Ok(Attempt::Out(format!("private key `{path}`: not accepted"))),
            Err(error) if lost(&error) => Err(NotIn::Lost(words(&error))),
            Err(error) => {
                let hint = match passphrase {
                    Some(_) => "is the passphrase right, and is it a key in OpenSSH or PEM form?",
                    None => "is it a key in OpenSSH or PEM form, and does it need a passphrase?",
                };
                Ok(Attempt::Out(format!(
                    "private key `{path}`: cannot be used ({}); {hint}",
                    words(&error)
                )))
            }
        }
    }

    fn agent(&mut self) -> Result<Attempt, NotIn> {
        // The agent is local and asked in blocking calls of libssh2's own: one that hangs holds this thread, not the verbs.
        let unreachable = |error: ssh2::Error| Attempt::Out(format!("agent: {}; is SSH_AUTH_SOCK set?", words(&error)));
        let identities = self.session.agent().and_then(|mut agent| {
            agent.connect()?;
            agent.list_identities()?;
            let identities = agent.identities()?;
            Ok((agent, identities))
        });
        let (agent, identities) = match identities {
            Ok(found) => found,
            Err(error) => return Ok(unreachable(error)),
        };
        for identity in identities.iter().take(AGENT_KEYS_MAX) {
            self.arm()?;
            match agent.userauth(self.user, identity) {
                Ok(()) => return Ok(Attempt::In),
                Err(error) if lost(&error) => {
                    let reason = format!(
                        "{} after the agent's keys were tried; it may hold too many",
                        words(&error)
                    );
                    return Err(NotIn::Lost(reason));
                }
                Err(_) => {}
            }
        }
        Ok(Attempt::Out(format!(
            "agent: none of its {} keys accepted",
            identities.len()
        )))
    }

    fn password(&mut self, password: &Secret) -> Result<Attempt, NotIn> {
        match self.session.userauth_password(self.user, password.reveal()) {
            Ok(()) => Ok(Attempt::In),
            // LIBSSH2_ERROR_PASSWORD_EXPIRED
            Err(error) if error.code() == ErrorCode::Session(-15) => Err(NotIn::Barred(
                "the password has expired: set a new one on the server".to_string(),
            )),
            Err(error) if lost(&error) => Err(NotIn::Lost(words(&error))),
            Err(_) => Ok(Attempt::Out("password: not accepted".to_string())),
        }
    }

    fn keyboard_interactive(&mut self, password: &Secret) -> Result<Attempt, NotIn> {
        let mut answers = Answers {
            password,
            wants_new: false,
            unanswered: None,
        };
        let outcome = self.session.userauth_keyboard_interactive(self.user, &mut answers);
        if answers.wants_new {
            let reason = "the password has expired and the server asks for a new one: set it there";
            return Err(NotIn::Barred(reason.to_string()));
        }
        match outcome {
            Ok(()) => Ok(Attempt::In),
            Err(error) if lost(&error) => Err(NotIn::Lost(words(&error))),
            Err(_) => Ok(Attempt::Out(match answers.unanswered {
                Some(prompt) => format!("keyboard-interactive: no answer to the prompt `{prompt}`"),
                None => "keyboard-interactive: not accepted".to_string(),
            })),
        }
    }

    fn report(&self) -> String {
        let tried = match self.tried.as_slice() {
            [] => "nothing that is configured is offered".to_string(),
            tried => format!("tried {}", tried.join("; ")),
        };
        format!("not let in: {tried}; the server offers {}", self.offered.join(", "))
    }
}

/// The server's plain no.
fn refused(error: &ssh2::Error) -> bool {
    // LIBSSH2_ERROR_AUTHENTICATION_FAILED and _PUBLICKEY_UNVERIFIED
    matches!(error.code(), ErrorCode::Session(-18 | -19)) && !unanswered(error)
}

/// A key that nothing was said of: libssh2 calls it unverified as well when the connection broke before the answer.
fn unanswered(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(-19) && error.message().starts_with("Waiting for")
}

/// No answer at all: the socket broke, or time ran out.
fn lost(error: &ssh2::Error) -> bool {
    // LIBSSH2_ERROR_SOCKET_SEND, _TIMEOUT, _SOCKET_DISCONNECT, _SOCKET_TIMEOUT, _SOCKET_RECV, _BAD_SOCKET
    matches!(error.code(), ErrorCode::Session(-7 | -9 | -13 | -30 | -43 | -45)) || unanswered(error)
}

/// Answers prompts that do not echo with the password: those are the ones that ask for it.
struct Answers<'a> {
    password: &'a Secret,
    wants_new: bool,
    unanswered: Option<String>,
}

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt<'b>(&mut self, _user: &str, instructions: &str, prompts: &[Prompt<'b>]) -> Vec<String> {
        let asks_for_new = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.contains("new password") || text.contains("expired")
        };
        let mut answers = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            if asks_for_new(&prompt.text) || asks_for_new(instructions) {
                self.wants_new = true;
                answers.push(String::new());
            } else if prompt.echo {
                self.unanswered = Some(excerpt(prompt.text.trim()));
                answers.push(String::new());
            } else {
                answers.push(self.password.reveal().to_string());
            }
        }
        answers
    }
}
