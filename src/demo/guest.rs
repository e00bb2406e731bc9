//! One connection: who it is, and what it may do.
//!
//! Password or key, and then the `sftp` subsystem and nothing else: no shell, no command, no forwarding.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};

use super::files::Files;
use super::paths::Root;
use super::server::{Account, House, Twin, cut};
use super::session;

/// One connection, and what it was let in to.
pub(super) struct Guest {
    house: Arc<House>,
    twin: Twin,
    /// The account's directory, once somebody was let in.
    dir: Option<PathBuf>,
    /// Channels that wait for their subsystem.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Guest {
    /// Nobody is let in yet.
    pub(super) fn new(house: Arc<House>, twin: Twin) -> Guest {
        Guest {
            house,
            twin,
            dir: None,
            channels: HashMap::new(),
        }
    }

    fn account(&self, user: &str) -> Option<&Account> {
        self.house.accounts.iter().find(|account| account.user == user)
    }

    fn holds(&self, user: &str, key: &PublicKey) -> Option<&Account> {
        let account = self.account(user)?;
        // The comment is no part of a key's identity.
        account
            .key
            .as_ref()?
            .public()
            .key_data()
            .eq(key.key_data())
            .then_some(account)
    }

    fn let_in(&mut self, dir: Option<PathBuf>) -> Auth {
        self.dir = dir;
        match self.dir {
            Some(_) => Auth::Accept,
            None => Auth::reject(),
        }
    }

    /// Here is SFTP and nothing else.
    fn turn_down(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        session.channel_failure(channel)?;
        session.close(channel)
    }
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let account = self
            .account(user)
            .filter(|account| account.password.as_deref() == Some(password));
        let dir = account.map(|account| account.dir.clone());
        Ok(self.let_in(dir))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        match self.holds(user, offer.public_key) {
            Some(_) => Ok(Auth::Accept),
            None => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let dir = self.holds(user, key.public_key).map(|account| account.dir.clone());
        Ok(self.let_in(dir))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.turn_down(channel, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.turn_down(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(dir) = self.dir.as_deref().filter(|_| name == "sftp") else {
            return self.turn_down(channel, session);
        };
        let Some(stream) = self.channels.remove(&channel) else {
            return self.turn_down(channel, session);
        };
        let files = Files::new(Root::new(dir)?);
        session.channel_success(channel)?;
        let (script, twin) = (self.house.script.clone(), self.twin.clone());
        let handle = session.handle();
        let flood = move || {
            let handle = handle.clone();
            tokio::spawn(async move { while handle.xon_xoff_request(channel, false).await.is_ok() {} });
        };
        let line = session::Line {
            cut: Box::new(move || cut(&twin)),
            flood: Box::new(flood),
        };
        tokio::spawn(session::serve(stream.into_stream(), files, script, line));
        Ok(())
    }
}
