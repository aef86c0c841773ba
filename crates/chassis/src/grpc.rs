//! Defaults of gRPC servers and clients.

use std::time::Duration;

use axum::http::HeaderValue;
use proto::Failure;
use serde::{Deserialize, Serialize};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
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
    let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).map_err(|error| {
        Failure::invalid("url", format!("{url:?} is not the address of a service: {error}"))
    })?;
    let uri = endpoint.uri();
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if uri.scheme_str() != Some("https") && !loopback {
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
    with_token(channel(&endpoint.url)?, endpoint.token.expose())
}
