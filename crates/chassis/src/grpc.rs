//! Defaults of gRPC servers and clients.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::HeaderValue;
use proto::Failure;
use serde::{Deserialize, Serialize};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::config::Secret;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one call may take, from end to end.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A dead peer is noticed after this long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Where another service listens, and the token that says who we are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// Such as `http://127.0.0.1:8081`.
    pub url: String,
    /// Our service token; `token_file` names the file that holds it.
    pub token: Secret,
    /// A PEM file with the authorities to trust beside the web's, for an `https` URL.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// As [`channel`], trusting also the authorities of `ca_file`.
    ///
    /// # Errors
    /// As [`channel`], and `INVALID_INPUT` when the file cannot be read.
    pub fn channel(&self) -> Result<Channel, Failure> {
        channel_trusting(&self.url, self.ca_file.as_deref())
    }
}

/// A channel that says who calls and which trace the call belongs to.
pub type AuthedChannel = InterceptedService<Channel, Credentials>;

/// Adds the bearer token and the trace context to each request.
#[derive(Clone)]
pub struct Credentials {
    authorization: MetadataValue<tonic::metadata::Ascii>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.authorization.clone());
        if let Some(traceparent) = telemetry::propagation::current_traceparent()
            && let Ok(value) = traceparent.parse()
        {
            request.metadata_mut().insert(telemetry::propagation::TRACEPARENT, value);
        }
        Ok(request)
    }
}

/// A channel that connects when it is first used, and again whenever it broke.
///
/// # Errors
/// `INVALID_INPUT` when the URL is malformed, or when it would carry a token in clear text to
/// another machine.
pub fn channel(url: &str) -> Result<Channel, Failure> {
    channel_trusting(url, None)
}

fn channel_trusting(url: &str, ca_file: Option<&Path>) -> Result<Channel, Failure> {
    let malformed = |error| {
        Failure::invalid("url", format!("{url:?} is not the address of a service: {error}"))
    };
    let mut endpoint =
        tonic::transport::Endpoint::from_shared(url.to_owned()).map_err(malformed)?;
    let uri = endpoint.uri();
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if uri.scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(tls(ca_file)?).map_err(malformed)?;
    } else if !loopback {
        return Err(Failure::invalid(
            "url",
            format!("{url} would carry a token in clear text; use https beyond this machine"),
        ));
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// Trusts the web's authorities and those of the file.
fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, Failure> {
    let tls = ClientTlsConfig::new().with_enabled_roots();
    let Some(path) = ca_file else { return Ok(tls) };
    let pem = std::fs::read(path).map_err(|error| {
        Failure::invalid("ca_file", format!("cannot read {} ({error})", path.display()))
    })?;
    Ok(tls.ca_certificate(Certificate::from_pem(pem)))
}

/// The channel with a caller's own token, as the hub forwards it.
///
/// # Errors
/// `UNAUTHENTICATED` when the token cannot be a header's value.
pub fn with_token(channel: Channel, token: &str) -> Result<AuthedChannel, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Failure::new(proto::Reason::Unauthenticated, "the token has characters no token has")
    })?;
    value.set_sensitive(true);
    let authorization = MetadataValue::try_from(value.as_bytes()).map_err(|_| {
        Failure::new(proto::Reason::Unauthenticated, "the token has characters no token has")
    })?;
    Ok(InterceptedService::new(channel, Credentials { authorization }))
}

/// The channel of a service that calls in its own name.
///
/// # Errors
/// As [`channel`] and [`with_token`].
pub fn client(endpoint: &Endpoint) -> Result<AuthedChannel, Failure> {
    with_token(endpoint.channel()?, endpoint.token.expose())
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::net::{TcpListener, TcpStream};
    use tonic::transport::{Identity, Server, ServerTlsConfig};
    use tonic_health::pb::health_client::HealthClient;

    use super::*;
    use crate::{Shutdown, Tasks};

    fn pem(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
    }

    /// Asks a server with a certificate of its own authority how it does.
    async fn ask(ca_file: Option<PathBuf>) -> Result<(), Status> {
        let read = |name| std::fs::read(pem(name)).expect("a file of the test");
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("server.pem"), read("server.key")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let incoming = futures::stream::unfold(listener, |listener| async {
            let accepted = listener.accept().await.map(|(stream, _): (TcpStream, _)| stream);
            Some((accepted, listener))
        });
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder().tls_config(tls).expect("a certificate").add_service(health);
        let mut tasks = Tasks::new(&Shutdown::new());
        tasks.spawn(
            "server",
            async move { Ok(server.serve_with_incoming(incoming.boxed()).await?) },
        );

        let url = format!("https://localhost:{port}");
        let endpoint = Endpoint { url, token: Secret::from("cct_us".to_owned()), ca_file };
        let mut client = HealthClient::new(client(&endpoint).expect("well formed"));
        client.check(tonic_health::pb::HealthCheckRequest::default()).await.map(drop)
    }

    #[tokio::test]
    async fn https_needs_an_authority_that_we_trust() {
        ask(Some(pem("ca.pem"))).await.expect("the authority is known");
        ask(None).await.expect_err("the web does not know this authority");
        let error = ask_with_missing_file();
        assert!(error.message.contains("/nonexistent"), "{error}");
    }

    fn ask_with_missing_file() -> Failure {
        let ca_file = Some(PathBuf::from("/nonexistent"));
        let url = "https://localhost".to_owned();
        Endpoint { url, ca_file, ..Endpoint::default() }.channel().expect_err("no such file")
    }

    #[test]
    fn a_token_never_crosses_the_network_in_clear_text() {
        let error = channel("http://10.0.0.1:8081").expect_err("clear text");
        assert!(error.message.contains("https"), "{error}");
    }
}
