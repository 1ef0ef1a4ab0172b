//! One session over any of the reference's transports, in either direction.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moq_net::{Error, Session, SessionError, origin};
use tokio::net::{TcpListener, TcpStream};
use url::Url;
use web_transport_moq::noq;

use crate::options::{Options, Result, Stop, fail, stage, unsupported};

/// What this side publishes and where it puts what it hears of.
#[derive(Clone, Default)]
pub struct Roles {
    pub publish: Option<origin::Producer>,
    pub subscribe: Option<origin::Producer>,
}

/// A session, and what has to outlive it.
pub struct Link {
    pub session: Session,
    owner: Owner,
}

enum Owner {
    Endpoint(noq::Endpoint),
    Listener(moq_tokio::Listener),
    WebSocket,
    Tcp,
}

impl Link {
    pub async fn open(options: &Options, roles: Roles) -> Result<Self> {
        let link = match &options.dial {
            Some(url) => dial(options, url, roles).await?,
            None => listen(options, roles).await?,
        };
        println!(r#"{{"connected":"{}"}}"#, link.session.version());
        if link.session.version() != options.moq_version() {
            return fail(format!("negotiated {}", link.session.version()));
        }
        Ok(link)
    }

    /// Closes with code 0 and no reason, once what was queued is delivered.
    pub async fn close(self) {
        let _ = self.session.clone().close().await;
        self.leave().await
    }

    /// Closes with any code. The reference writes the reason itself (moq-net src/session.rs, `Session::abort`).
    pub async fn close_with(self, code: u32) {
        self.session.abort(Error::Session(SessionError::from_code(code)));
        self.session.closed().await;
        self.leave().await
    }

    /// Waits for the peer to close and checks its code, where the transport keeps it.
    pub async fn closed(self, code: u32) -> Result<()> {
        stage("waiting for the peer to close");
        let error = self.session.closed().await;
        let qmux = self.over_qmux();
        self.leave().await;
        match error.session() {
            Some(error) if error.to_code() == code => Ok(()),
            // The end of the socket, which follows at once, overwrites the peer's code (qmux-0.5.3 src/session.rs: what
            // line 1337 notes does not last; repaired in 0.6.1, which no release of moq-tokio uses).
            _ if qmux => {
                println!(r#"{{"note":"ended with {}"}}"#, error.to_string().replace('"', "'"));
                Ok(())
            }
            _ => fail(format!("the session ended with {error:?}, not with code {code:#x}")),
        }
    }

    pub fn over_qmux(&self) -> bool {
        matches!(self.owner, Owner::WebSocket | Owner::Tcp)
    }

    pub fn over_websocket(&self) -> bool {
        matches!(self.owner, Owner::WebSocket)
    }

    /// Runs `work`, which the peer may not cut short by ending the session.
    pub async fn during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            error = self.session.closed() => fail(format!("the session ended early: {error:?}")),
        }
    }

    /// Lets the last packets out before the process ends.
    async fn leave(self) {
        match self.owner {
            Owner::Endpoint(endpoint) => {
                endpoint.close(0u32.into(), b"");
                endpoint.wait_all_draining().await;
            }
            Owner::Listener(listener) => listener.close().await,
            Owner::WebSocket | Owner::Tcp => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same settings as moq-tokio's own clients and servers, with a shorter idle time: `loss` waits for it.
fn quic(options: &Options) -> moq_tokio::quic::Config {
    let mut quic = moq_tokio::quic::Config::default();
    quic.idle_timeout = Duration::from_secs(6);
    quic.keep_alive = Duration::from_secs(2);
    quic.max_streams = options.streams;
    quic
}

fn qmux_config(options: &Options) -> qmux::Config {
    let mut config = qmux::Config::default();
    config.max_streams_bidi = options.streams.unwrap_or(moq_tokio::quic::DEFAULT_MAX_STREAMS);
    config.max_streams_uni = config.max_streams_bidi;
    config
}

fn versions(options: &Options) -> moq_net::Versions {
    vec![options.moq_version()].into()
}

async fn dial(options: &Options, url: &Url, roles: Roles) -> Result<Link> {
    stage(format!("dialling {url}"));
    let mut connect = moq_tokio::connect::Config::default();
    match &options.hash {
        Some(hash) => connect.tls.fingerprint = vec![hash.clone()],
        None => connect.tls.insecure = Some(true),
    }
    let tls = connect.tls.build()?;
    let client = client(options, url, roles);
    match url.scheme() {
        "moqt" | "https" => dial_quic(options, url, tls, client).await,
        "ws" | "wss" => {
            let alpns = versions(options).alpns();
            let revisions: Vec<_> = options.qmux.into_iter().collect();
            let mut dialler = qmux::ws::Client::new()
                .with_protocols(alpns.iter().map(|&alpn| (alpn, revisions.as_slice())))
                .with_keep_alive(qmux::ws::KeepAlive::default())
                .with_session_config(qmux_config(options));
            if url.scheme() == "wss" {
                let connector = qmux::ws::tokio_tungstenite::Connector::Rustls(Arc::new(tls));
                dialler = dialler.with_connector(connector);
            }
            if options.qmux.is_some() {
                dialler = dialler.require_protocol();
            }
            let session = dialler.connect(url.as_str()).await?;
            start_client(&client, session, Owner::WebSocket).await
        }
        "tcp" => {
            let session = qmux_tcp(options).connect(authority(url)?).await?;
            start_client(&client, session, Owner::Tcp).await
        }
        scheme => unsupported(format!("no {scheme}:// in moq-tokio-0.19.31 src/client.rs:405-466")),
    }
}

fn authority(url: &Url) -> Result<String> {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        _ => fail(format!("{url} names no host and port")),
    }
}

/// The protocol's half of a client. Only transports without a request of their own carry the path in SETUP.
fn client(options: &Options, url: &Url, roles: Roles) -> moq_net::Client {
    let mut client = moq_net::Client::new().with_versions(versions(options));
    if let Some(publish) = &roles.publish {
        client = client.with_publisher(publish);
    }
    if let Some(subscribe) = roles.subscribe {
        client = client.with_subscriber(subscribe);
    }
    if matches!(url.scheme(), "moqt" | "tcp") && !url.path().is_empty() {
        client = client.with_path(url.path());
    }
    client
}

async fn dial_quic(
    options: &Options,
    url: &Url,
    mut tls: rustls::ClientConfig,
    client: moq_net::Client,
) -> Result<Link> {
    let alpns = versions(options).alpns();
    tls.alpn_protocols = match url.scheme() {
        "https" => vec![web_transport_moq::ALPN.as_bytes().to_vec()],
        _ => alpns.iter().map(|alpn| alpn.as_bytes().to_vec()).collect(),
    };
    let mut transport = noq::TransportConfig::default();
    let quic = quic(options).resolve();
    transport.max_idle_timeout(Some(quic.idle_timeout.try_into()?));
    transport.keep_alive_interval(quic.keep_alive);
    transport.mtu_discovery_config(None);
    let streams = noq::VarInt::from_u64(quic.max_streams)?;
    transport
        .max_concurrent_bidi_streams(streams)
        .max_concurrent_uni_streams(streams);

    let crypto: noq::crypto::rustls::QuicClientConfig = tls.try_into()?;
    let mut config = noq::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));

    let endpoint = noq::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let host = url.host_str().unwrap_or("localhost");
    let address = (Ipv4Addr::LOCALHOST, url.port().unwrap_or(443)).into();
    let connection = endpoint.connect_with(config, address, host)?.await?;
    let session = match url.scheme() {
        "https" => {
            let mut request = web_transport_moq::proto::ConnectRequest::new(url.clone());
            for alpn in alpns.iter() {
                request = request.with_protocol(alpn.to_string());
            }
            web_transport_moq::Session::connect(connection, request).await?
        }
        _ => web_transport_moq::Session::raw(connection),
    };
    start_client(&client, session, Owner::Endpoint(endpoint)).await
}

/// Runs the opening of the protocol over a transport that is up.
macro_rules! start {
    ($opening:expr, $owner:expr) => {{
        let (session, driver) = $opening;
        tokio::spawn(moq_net::time::run(driver));
        Ok(Link { session, owner: $owner })
    }};
}

async fn start_client<S>(client: &moq_net::Client, session: S, owner: Owner) -> Result<Link>
where
    S: web_transport_moq::generic::Session,
    moq_tokio::transport::Session<S>: moq_net::transport::poll::Boxable,
{
    stage("opening as a client");
    let session = moq_tokio::transport::Session::new(session);
    start!(client.connect(Instant::now(), session).await?, owner)
}

/// QMux over TCP has one fixed revision in moq-tokio (src/tcp.rs:16); the crate below it takes any.
fn qmux_tcp(options: &Options) -> qmux::tcp::Config {
    qmux::tcp::Config::new(options.qmux.unwrap_or(qmux::Version::QMux01))
        .protocols(versions(options).alpns().iter().map(|alpn| alpn.to_string()))
        .session_config(qmux_config(options))
}

async fn listen(options: &Options, roles: Roles) -> Result<Link> {
    let identity = Identity::of(options)?;
    let (tcp, mut quic, tls) = bind(options, &identity).await?;
    drop(identity);
    if options.cert.is_none() {
        for hash in quic.certificates().fingerprints() {
            println!(r#"{{"hash":"{hash}"}}"#);
        }
    }
    println!(r#"{{"listening":{}}}"#, tcp.local_addr()?.port());
    stage("waiting for a connection");
    loop {
        tokio::select! {
            request = quic.accept() => {
                let Some(mut request) = request else { return fail("the listener stopped") };
                if let Some(publish) = &roles.publish {
                    request = request.with_publisher(publish);
                }
                if let Some(subscribe) = roles.subscribe.clone() {
                    request = request.with_subscriber(subscribe);
                }
                let session = request.ok().await?;
                return Ok(Link { session, owner: Owner::Listener(quic) });
            }
            accepted = tcp.accept() => {
                match accept_stream(options, &roles, accepted?.0, tls.clone()).await {
                    Ok(link) => return Ok(link),
                    Err(Stop::Fail(why) | Stop::Unsupported(why)) => eprintln!("refused a connection: {why}"),
                }
            }
        }
    }
}

/// The certificate of a listener: the one that was given, or one of its own, in files for as long as it is loaded.
struct Identity {
    cert: PathBuf,
    key: PathBuf,
    directory: Option<PathBuf>,
}

impl Identity {
    fn of(options: &Options) -> Result<Self> {
        if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
            return Ok(Self {
                cert: cert.into(),
                key: key.into(),
                directory: None,
            });
        }
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string(), "127.0.0.1".to_string()])?;
        let directory = std::env::temp_dir().join(format!("rust-peer-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        std::fs::write(&cert, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self {
            cert,
            key,
            directory: Some(directory),
        })
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Binds UDP and TCP to the same port: the command line does not say which transport will be dialled.
async fn bind(
    options: &Options,
    identity: &Identity,
) -> Result<(TcpListener, moq_tokio::Listener, Arc<rustls::ServerConfig>)> {
    let mut tries = 20;
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, options.listen)).await?;
        let mut config = moq_tokio::server::Config::default();
        config.listen.bind = Some(tcp.local_addr()?.to_string().parse()?);
        config.listen.version = vec![options.moq_version()];
        config.listen.tls.cert = vec![identity.cert.clone()];
        config.listen.tls.key = vec![identity.key.clone()];
        config.quic = quic(options);
        let tls = config.listen.tls.server_config(vec![b"http/1.1".to_vec()])?;
        match config.init() {
            Ok(server) => return Ok((tcp, server.listen().await?, tls)),
            Err(_) if options.listen == 0 && tries > 0 => tries -= 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells WebSocket, TLS and plain QMux apart by the first bytes, which a peer always sends first.
async fn accept_stream(
    options: &Options,
    roles: &Roles,
    socket: TcpStream,
    tls: Arc<rustls::ServerConfig>,
) -> Result<Link> {
    let mut first = [0u8; 1];
    if socket.peek(&mut first).await? == 0 {
        return fail("closed at once");
    }
    let websocket_or_tls = matches!(first[0], b'G' | 0x16);
    let session = match first[0] {
        b'G' => websocket(options).accept(socket).await?,
        0x16 => {
            let socket = tokio_rustls::TlsAcceptor::from(tls).accept(socket).await?;
            websocket(options).accept(socket).await?
        }
        _ => qmux_tcp(options).accept(socket).await?,
    };
    stage("opening as a server");
    let mut server = moq_net::Server::new().with_versions(versions(options));
    if let Some(publish) = &roles.publish {
        server = server.with_publisher(publish);
    }
    if let Some(subscribe) = roles.subscribe.clone() {
        server = server.with_subscriber(subscribe);
    }
    let session = moq_tokio::transport::Session::new(session);
    let owner = if websocket_or_tls { Owner::WebSocket } else { Owner::Tcp };
    start!(server.accept(Instant::now(), session).await?, owner)
}

fn websocket(options: &Options) -> qmux::ws::Server {
    let alpns = versions(options).alpns();
    let revisions: Vec<_> = options.qmux.into_iter().collect();
    let server = qmux::ws::Server::new()
        .with_protocols(alpns.iter().map(|&alpn| (alpn, revisions.as_slice())))
        .with_keep_alive(qmux::ws::KeepAlive::default())
        .with_session_config(qmux_config(options));
    match options.qmux {
        Some(_) => server.require_protocol(),
        None => server,
    }
}
