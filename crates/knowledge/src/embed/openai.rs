//! Any server that answers `POST …/embeddings` as OpenAI's does, at an address the operator chose.

mod answer;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Client, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::{Host, Url};

use self::answer::Outcome;
use super::{Embedder, Error, Kind, ModelSpec, estimate_tokens};
use crate::config;

/// Texts per request; many servers refuse more.
const BATCH_MAX: usize = 64;
/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Further attempts when no connection came about, so that nothing was asked yet.
const CONNECT_RETRIES: usize = 2;
/// Pause before the first of them; it doubles.
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The client of one server and model.
pub struct OpenAi {
    spec: ModelSpec,
    endpoint: Url,
    client: Client,
    token: Option<SecretString>,
    send_dimensions: bool,
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    input: &'a [String],
    // Some servers answer base64 unless told otherwise.
    encoding_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

impl OpenAi {
    /// Checks the configuration; asks the server nothing yet.
    ///
    /// # Errors
    /// When the address is missing or malformed, or a token would travel in clear text.
    pub fn new(config: &config::OpenAi) -> Result<Self, Error> {
        let mut endpoint: Url =
            config.url.parse().map_err(|error: url::ParseError| Error::Permanent {
                what: "knowledge.openai.url is no address".to_owned(),
                source: Some(error.into()),
            })?;
        if endpoint.password().is_some() {
            return Err(Error::permanent(
                "its address holds a password, which would be logged; use the token",
            ));
        }
        if !config.token.is_empty() && endpoint.scheme() != "https" && !is_loopback(&endpoint) {
            return Err(Error::permanent(format!(
                "a token would go to {endpoint} in clear text; use https or a loopback address"
            )));
        }
        endpoint
            .path_segments_mut()
            .map_err(|()| Error::permanent("its address must start with http:// or https://"))?
            .pop_if_empty()
            .push("embeddings");
        Ok(Self {
            spec: ModelSpec {
                provider: "openai".into(),
                name: config.model.clone(),
                revision: config.revision.clone(),
                dim: config.dimensions,
                max_tokens: config.tokens_max,
                semantic: true,
                query_prefix: config.query_prefix.clone(),
                doc_prefix: config.document_prefix.clone(),
            },
            endpoint,
            client: client(Duration::from_secs(config.timeout_s))?,
            token: (!config.token.is_empty()).then(|| SecretString::from(config.token.expose())),
            send_dimensions: config.send_dimensions,
        })
    }

    async fn embed_all(&self, inputs: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        let mut vectors = Vec::with_capacity(inputs.len());
        let mut batches: VecDeque<Range<usize>> = (0..inputs.len())
            .step_by(BATCH_MAX)
            .map(|start| start..inputs.len().min(start + BATCH_MAX))
            .collect();
        while let Some(batch) = batches.pop_front() {
            match self.request(&inputs[batch.clone()]).await? {
                Outcome::Vectors(batch) => vectors.extend(batch),
                Outcome::TooMuch if batch.len() > 1 => {
                    let middle = batch.start + batch.len() / 2;
                    batches.push_front(middle..batch.end);
                    batches.push_front(batch.start..middle);
                }
                Outcome::TooMuch => {
                    return Err(Error::TooLong {
                        index: batch.start,
                        tokens: estimate_tokens(&inputs[batch.start]),
                        max: self.spec.max_tokens,
                    });
                }
            }
        }
        Ok(vectors)
    }

    async fn request(&self, inputs: &[String]) -> Result<Outcome, Error> {
        let connect = ExponentialBuilder::default()
            .with_min_delay(CONNECT_RETRY_DELAY)
            .with_max_times(CONNECT_RETRIES);
        let response = (|| self.send(inputs))
            .retry(connect)
            .when(reqwest::Error::is_connect)
            .await
            .map_err(|source| answer::unreachable(&self.endpoint, source))?;
        answer::read(response, inputs.len(), self.spec.dim).await
    }

    async fn send(&self, inputs: &[String]) -> Result<Response, reqwest::Error> {
        let mut request = self.client.post(self.endpoint.clone()).json(&Ask {
            model: &self.spec.name,
            input: inputs,
            encoding_format: "float",
            dimensions: self.send_dimensions.then_some(self.spec.dim),
        });
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        request.send().await
    }
}

impl Embedder for OpenAi {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate_tokens(text)
    }

    fn embed<'a>(
        &'a self,
        kind: Kind,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>> {
        async move {
            let inputs: Vec<_> = texts.iter().map(|text| self.spec.prefixed(kind, text)).collect();
            self.embed_all(&inputs).await
        }
        .boxed()
    }
}

/// The operator's client: unlike the one for users' addresses it may reach private networks.
fn client(timeout: Duration) -> Result<Client, Error> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("ring offers every default protocol version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        // A redirect would carry texts and token to an address nobody configured.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .build()
        .map_err(|source| Error::Permanent {
            what: "its HTTP client cannot be built".into(),
            source: Some(source.into()),
        })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_beyond_loopback_in_clear_text() {
        let check = |url: &str, expect: bool| {
            let config = config::OpenAi {
                url: url.into(),
                token: "hidden".to_owned().into(),
                ..config::OpenAi::default()
            };
            let built = OpenAi::new(&config);
            assert_eq!(built.is_ok(), expect, "{url}");
            let message = built.err().map(|e| format!("{e:?}")).unwrap_or_default();
            assert!(!message.contains("hidden"));
        };
        check("https://embed.example/v1", true);
        check("http://127.0.0.1:8080/v1/", true);
        check("http://[::1]/v1", true);
        check("http://localhost/v1", true);
        check("http://10.0.0.1/v1", false);
        check("http://localhost.example/v1", false);
        check("mailto:somebody", false);
        check("", false);
        check("https://user:hidden@embed.example/v1", false);
    }
}
