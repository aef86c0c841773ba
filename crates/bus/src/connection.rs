//! The connection, which is never given up.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{ConnectOptions, Event, ServerAddr, connection::State, jetstream};
use chassis::config::Secret;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Between two attempts to reach the server, at most: a restart is noticed this soon.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often an idle connection is tested; two silent rounds end it.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long the server may take to answer a request or to acknowledge a message.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages sent and not yet acknowledged, at most.
const ACKS_IN_FLIGHT_MAX: usize = 1_024;

/// Where NATS is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT`; a comma separates the nodes of a cluster.
    pub url: Secret,
    /// The user; empty when the URL names it or the server asks for none.
    pub user: String,
    /// That user's password.
    pub password: Secret,
    /// Nobody else listens on the way to NATS: the password may cross it in clear text. Demanded
    /// for a `nats://` URL beyond this machine.
    pub network_is_private: bool,
}

/// A handle to NATS; clones share the connection.
#[derive(Clone, Debug)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
}

impl Bus {
    /// A handle that connects now or later: a server that is down is no error, it is tried for
    /// ever.
    ///
    /// # Errors
    /// [`Error::Url`] when the configuration can never work.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let servers = config
            .url
            .expose()
            .split(',')
            .map(|url| url.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Error::Url)?;
        if !config.network_is_private && shows_password(config, &servers) {
            return Err(Error::ClearText);
        }
        let client = options(config, &servers)
            .connect(servers)
            .await
            .map_err(|source| Error::refused("open a connection", source))?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(ANSWER_TIMEOUT)
            .ack_timeout(ANSWER_TIMEOUT)
            .max_ack_inflight(ACKS_IN_FLIGHT_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, jetstream })
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often a connection was made: another value than before means that the server may have
    /// been replaced by one which knows nothing.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

fn options(config: &Config, servers: &[ServerAddr]) -> ConnectOptions {
    let options = ConnectOptions::new()
        .name("commandcenter")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(ANSWER_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(reconnect_delay)
        .tls_client_config(chassis::tls::client_config())
        .event_callback(|event| async move { log(&event) });
    match credentials(config, servers) {
        Some((user, password)) => options.user_and_password(user, password),
        None => options,
    }
}

/// Whether a password would reach another machine in clear text.
fn shows_password(config: &Config, servers: &[ServerAddr]) -> bool {
    let near = |server: &ServerAddr| {
        let host = server.host().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    credentials(config, servers).is_some()
        && servers.iter().any(|server| !server.tls_required() && !near(server))
}

/// The user and password that are set, or else those in the URL: the client passes over them.
fn credentials(config: &Config, servers: &[ServerAddr]) -> Option<(String, String)> {
    if !config.user.is_empty() {
        return Some((config.user.clone(), config.password.expose().to_owned()));
    }
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let server = servers.iter().find(|server| server.has_user_pass())?;
    Some((decoded(server.username()?), decoded(server.password().unwrap_or_default())))
}

/// 50 ms, 100 ms, 200 ms … so that a restart is noticed at once and an outage costs little.
fn reconnect_delay(attempts: usize) -> Duration {
    const FIRST: Duration = Duration::from_millis(50);
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    FIRST.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX)
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS, reconnecting"),
        Event::SlowConsumer(id) => tracing::warn!(subscription = id, "slow NATS consumer"),
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS reports an error"),
        Event::ClientError(error) => tracing::debug!(error = %error, "NATS client error"),
        other => tracing::debug!(event = %other, "NATS event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials_of(user: &str, url: &str) -> Option<(String, String)> {
        let password = Secret::from("set".to_owned());
        let config = Config { user: user.to_owned(), password, ..Config::default() };
        let servers: Vec<ServerAddr> =
            url.split(',').map(|url| url.parse().expect("a URL")).collect();
        credentials(&config, &servers)
    }

    #[test]
    fn credentials_come_from_the_configuration_or_else_from_the_url() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(credentials_of("", "nats://h:1"), None);
        assert_eq!(credentials_of("", "nats://h:1,nats://u:p%40s@h:2"), pair("u", "p@s"));
        assert_eq!(credentials_of("me", "nats://u:p@h:1"), pair("me", "set"));
    }

    #[tokio::test]
    async fn a_password_never_crosses_the_network_in_clear_text() {
        for (url, refused) in [
            ("nats://127.0.0.1:1", false),
            ("nats://u:p@localhost:1", false),
            ("nats://u:p@[::1]:1", false),
            ("tls://u:p@192.0.2.1:1", false),
            ("nats://192.0.2.1:1", false),
            ("nats://u:p@192.0.2.1:1", true),
            ("tls://u:p@192.0.2.1:1,nats://192.0.2.2:1", true),
        ] {
            let servers: Vec<ServerAddr> =
                url.split(',').map(|url| url.parse().expect("a URL")).collect();
            assert_eq!(shows_password(&Config::default(), &servers), refused, "{url}");
        }
        let url = Secret::from("nats://u:p@192.0.2.1:1".to_owned());
        let config = Config { url, ..Config::default() };
        assert!(matches!(Bus::connect(&config).await, Err(Error::ClearText)));
        let config = Config { network_is_private: true, ..config };
        assert!(Bus::connect(&config).await.is_ok(), "it is tried for ever");
    }

    #[test]
    fn reconnecting_starts_at_once_and_never_waits_long() {
        let delays: Vec<u128> = (1..=8).map(|n| reconnect_delay(n).as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(reconnect_delay(usize::MAX), RECONNECT_DELAY_MAX);
    }
}
