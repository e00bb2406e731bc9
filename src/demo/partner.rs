//! The partner: somebody with an SFTP client and a password, who uploads and looks.
//!
//! A client of its own rather than the daemon's, so that the two do not share their mistakes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use russh::client::{self, Config, Handle};
use russh::keys::{HashAlg, PublicKeyOrCertificate};
use russh_sftp::client::SftpSession;
use tokio::io::AsyncWriteExt;

use super::samples::{Sample, Upload};

/// A session on the partner's account.
pub struct Partner {
    sftp: SftpSession,
    session: Handle<HostKey>,
}

impl Partner {
    /// Dials, checks the host key against its fingerprint, and logs in with the password.
    pub async fn dial(addr: SocketAddr, fingerprint: &str, user: &str, password: &str) -> anyhow::Result<Partner> {
        let doing = || format!("logging in to the demo's server at {addr} as the partner");
        let host_key = HostKey(fingerprint.to_owned());
        let mut session = client::connect(Arc::new(Config::default()), addr, host_key)
            .await
            .with_context(doing)?;
        let answer = session
            .authenticate_password(user, password)
            .await
            .with_context(doing)?;
        if !answer.success() {
            bail!("{}: the password was refused", doing());
        }
        let channel = session.channel_open_session().await.with_context(doing)?;
        channel.request_subsystem(true, "sftp").await.with_context(doing)?;
        let sftp = SftpSession::new(channel.into_stream()).await.with_context(doing)?;
        Ok(Partner { sftp, session })
    }

    /// Uploads a sample in the manner that belongs to it. What is there by that name is replaced.
    pub async fn upload(&self, sample: &Sample) -> anyhow::Result<()> {
        let upload = match sample.upload {
            Upload::Renamed => self.renamed(sample.name, &sample.bytes).await,
            Upload::Slow => self.slowly(sample.name, &sample.bytes).await,
        };
        upload.with_context(|| format!("uploading `{}`", sample.name))
    }

    async fn renamed(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let beside = format!("{name}.part");
        let mut file = self.sftp.create(&beside).await?;
        file.write_all(bytes).await?;
        file.shutdown().await?;
        if self.sftp.try_exists(name).await? {
            self.sftp.remove_file(name).await?;
        }
        Ok(self.sftp.rename(beside, name).await?)
    }

    async fn slowly(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut file = self.sftp.create(name).await?;
        file.write_all(first).await?;
        file.flush().await?;
        tokio::time::sleep(SLOW_PAUSE).await;
        file.write_all(second).await?;
        Ok(file.shutdown().await?)
    }

    /// The names in a directory, sorted; those of directories end in `/`. None if it is not there.
    pub async fn names(&self, dir: &str) -> anyhow::Result<Vec<String>> {
        let doing = || format!("listing `{dir}` on the demo's server");
        if !self.sftp.try_exists(dir).await.with_context(doing)? {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in self.sftp.read_dir(dir).await.with_context(doing)? {
            let slash = if entry.file_type().is_dir() { "/" } else { "" };
            names.push(format!("{}{slash}", entry.file_name()));
        }
        names.sort();
        Ok(names)
    }

    /// A whole file.
    pub async fn read(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.sftp
            .read(path)
            .await
            .with_context(|| format!("reading `{path}` on the demo's server"))
    }

    /// Says goodbye.
    pub async fn leave(self) {
        // The session ends either way; the demo has what it came for.
        drop(self.sftp.close().await);
        drop(
            self.session
                .disconnect(russh::Disconnect::ByApplication, "", "en")
                .await,
        );
    }
}

/// Long enough for a file to look settled, were it not for its missing end; shorter than the demo's `incomplete_grace`.
const SLOW_PAUSE: Duration = Duration::from_millis(1_500);

/// The one host key that is the right one, by fingerprint.
struct HostKey(String);

impl client::Handler for HostKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, seen: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        match seen {
            PublicKeyOrCertificate::PublicKey { key, .. } => Ok(key.fingerprint(HashAlg::Sha256).to_string() == self.0),
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }
}
