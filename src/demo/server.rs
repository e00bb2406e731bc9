//! The SFTP server: who is let in, and accepting.
//!
//! It runs on threads of its own, so that it can be started from anywhere, async or not, and may wait for its disk where
//! it stands; it listens on loopback only, and ends with the [`Server`] value. Each account sees its own directory as `/`.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, compression};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::guest::Guest;
use super::keys::KeyPair;
use super::paths::Root;
use super::script::Script;

/// How long a connection may take to say that it speaks SSH.
const GREETING: Duration = Duration::from_secs(30);

/// Who may come in, and what is then `/`.
#[derive(Clone, Default)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Password; without one, no password is right.
    pub password: Option<String>,
    /// Key; without one, no key is right.
    pub key: Option<KeyPair>,
    /// The account's directory. It must exist.
    pub dir: PathBuf,
}

/// How a server is set up; [`Setup::default`] lets nobody in.
#[derive(Default)]
pub struct Setup {
    /// Who may come in.
    pub accounts: Vec<Account>,
    /// The host key; a fresh one where there is none.
    pub host_key: Option<KeyPair>,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Faults, for tests.
    pub script: Option<Arc<dyn Script>>,
}

/// A running server. It ends, with every connection, when the value is dropped.
pub struct Server {
    addr: SocketAddr,
    host_key: KeyPair,
    wires: Arc<Wires>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Listens on 127.0.0.1, and serves from then on.
    ///
    /// # Errors
    /// The port is taken, or an account's directory is not there.
    pub fn start(setup: Setup) -> io::Result<Server> {
        for account in &setup.accounts {
            Root::new(&account.dir)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("demo-sftp")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, setup.port))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let listener = {
            let _inside = runtime.enter(); // where the listener's readiness is watched
            TcpListener::from_std(listener)?
        };
        let host_key = setup.host_key.unwrap_or_else(|| KeyPair::generate("demo host key"));
        let wires = Arc::<Wires>::default();
        let house = House {
            accounts: setup.accounts,
            script: setup.script,
        };
        runtime.spawn(accept(
            listener,
            Arc::new(config(&host_key)),
            Arc::new(house),
            wires.clone(),
        ));
        Ok(Server {
            addr,
            host_key,
            wires,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The host key's fingerprint, as OpenSSH prints it and `host_key` takes it: `SHA256:…`.
    pub fn host_key_fingerprint(&self) -> String {
        self.host_key.fingerprint()
    }

    /// The host key's line for a `known_hosts` file.
    pub fn known_hosts_line(&self) -> String {
        format!(
            "[{}]:{} {}",
            self.addr.ip(),
            self.addr.port(),
            self.host_key.public_openssh()
        )
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.wires.open().len()
    }

    /// Cuts every connection without a word, and goes on listening.
    pub fn cut_all(&self) {
        self.wires.open().iter().for_each(cut);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut_all();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // a plain drop would wait, and panic where that is not allowed
        }
    }
}

/// What every connection needs.
pub(super) struct House {
    pub(super) accounts: Vec<Account>,
    pub(super) script: Option<Arc<dyn Script>>,
}

/// A twin of a connection's socket, to cut it from outside.
pub(super) type Twin = Arc<std::net::TcpStream>;

/// The open connections. Each keeps its own twin alive.
#[derive(Default)]
struct Wires(Mutex<Vec<Weak<std::net::TcpStream>>>);

impl Wires {
    fn add(&self, twin: std::net::TcpStream) -> Twin {
        let twin = Arc::new(twin);
        let mut wires = self.0.lock().expect("nobody panics with it");
        wires.retain(|wire| wire.strong_count() > 0);
        wires.push(Arc::downgrade(&twin));
        twin
    }

    fn open(&self) -> Vec<Twin> {
        let wires = self.0.lock().expect("nobody panics with it");
        wires.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Ends a connection under everybody's hands: both sides see it closed without a goodbye.
pub(super) fn cut(twin: &Twin) {
    // It may be gone already, which is just as well.
    drop(twin.shutdown(Shutdown::Both));
}

fn config(host_key: &KeyPair) -> Config {
    Config {
        server_id: SshId::Standard("SSH-2.0-feedgate-demo".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
        auth_rejection_time: Duration::from_millis(500),
        // OpenSSH asks with "none" first, to learn what there is.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key.private().clone()],
        // A client may have some hundreds of requests on the way. Were this queue full, its window adjustments would wait
        // behind it, while the replies wait for them.
        channel_buffer_size: 4096,
        preferred: Preferred {
            compression: (&[compression::NONE]).into(),
            ..Preferred::default()
        },
        inactivity_timeout: Some(Duration::from_secs(3600)),
        keepalive_interval: Some(Duration::from_secs(15)),
        nodelay: true,
        ..Config::default()
    }
}

async fn accept(listener: TcpListener, config: Arc<Config>, house: Arc<House>, wires: Arc<Wires>) {
    loop {
        // Out of files, say: those who are here may still leave.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (config, house, wires) = (config.clone(), house.clone(), wires.clone());
        tokio::spawn(async move {
            // Whatever ends a connection has been said to the client; there is nobody else to tell.
            drop(connection(stream, config, house, wires).await);
        });
    }
}

async fn connection(
    stream: TcpStream,
    config: Arc<Config>,
    house: Arc<House>,
    wires: Arc<Wires>,
) -> Result<(), russh::Error> {
    let stream = stream.into_std()?;
    let twin = wires.add(stream.try_clone()?);
    let stream = TcpStream::from_std(stream)?;
    let guest = Guest::new(house, twin.clone());
    let greeting = russh::server::run_stream(config, stream, guest);
    let session = tokio::time::timeout(GREETING, greeting)
        .await
        .map_err(|_| russh::Error::ConnectionTimeout)??;
    let ended = session.await;
    cut(&twin);
    ended
}
