//! The one HTTP client for every address that a user can name: feeds, pages, imports.
//!
//! It reaches public addresses only, checked at the moment of connecting, so that neither a
//! redirect nor a name that changes its mind leads into the private network. Everything is
//! bounded: time, redirects, bytes after decompression, and their ratio.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use reqwest::Response;
use url::Url;

pub mod address;
mod body;
mod config;
mod credential;
mod error;
mod headers;
mod resolve;

pub use config::Config;
pub(crate) use credential::may_follow;
pub use credential::{Credential, InvalidHeader};
pub(crate) use error::place;
pub use error::{Class, Deadline, Error};
pub use resolve::{Resolver, SystemResolver};

use address::Reach;

/// How many idle connections to one host are kept.
const IDLE_PER_HOST_MAX: usize = 2;

/// What to get, and what is already here.
#[derive(Clone, Debug)]
pub struct Request {
    /// The address, `http` or `https`, without user name and password.
    pub url: Url,
    /// Sent to this address' host only, never after a redirect away from it.
    pub credential: Option<Credential>,
    /// The `ETag` of the copy at hand, as it was received.
    pub etag: Option<String>,
    /// The `Last-Modified` of the copy at hand, as it was received.
    pub last_modified: Option<String>,
}

impl Request {
    /// A request without credential or copy at hand.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url, credential: None, etag: None, last_modified: None }
    }
}

/// What came back.
#[derive(Debug)]
pub enum Outcome {
    /// The copy at hand is still good; no body was transferred.
    NotModified,
    /// The body.
    Fetched(Page),
}

/// What the server says about the copy that it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, verbatim.
    pub etag: Option<String>,
    /// `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
}

/// A fetched body.
#[derive(Debug)]
pub struct Page {
    /// Where it was in the end.
    pub url: Url,
    /// The `Content-Type`, verbatim.
    pub content_type: Option<String>,
    /// What to send with the next request.
    pub validators: Validators,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    /// For ports 80 and 443: public addresses and allowed networks.
    public: reqwest::Client,
    /// For all other ports: allowed networks alone.
    allowed: reqwest::Client,
    config: Arc<Config>,
}

impl Client {
    /// A client that resolves names as the system does.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, Error> {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// A client that resolves names with `resolver`; what it answers is vetted all the same.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn with_resolver(config: Config, resolver: Arc<dyn Resolver>) -> Result<Self, Error> {
        let mut tls = chassis::tls::client_config();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let build = |reach| {
            let vetted = resolve::Vetted::new(resolver.clone(), &config.allow_networks, reach);
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(vetted))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                // Bodies are decompressed here, where compressed and plain bytes are both counted.
                .no_gzip()
                .no_brotli()
                .no_deflate()
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
                .user_agent(&config.user_agent)
                .build()
                .map_err(|source| Error::Setup { source: source.into() })
        };
        let (public, allowed) = (build(Reach::Public)?, build(Reach::AllowedOnly)?);
        Ok(Self { public, allowed, config: Arc::new(config) })
    }

    /// Gets `request`, following redirects.
    ///
    /// # Errors
    /// If the address may not be reached, the server cannot be, or its answer is an error or over
    /// a limit. [`Error::class`] tells whether trying again makes sense.
    pub async fn get(&self, request: &Request) -> Result<Outcome, Error> {
        let limit = Duration::from_millis(self.config.total_timeout_ms);
        let late =
            |_| Error::Timeout { url: place(&request.url), deadline: Deadline::Total, limit };
        tokio::time::timeout(limit, self.follow(request)).await.map_err(late)?
    }

    async fn follow(&self, request: &Request) -> Result<Outcome, Error> {
        let mut url = request.url.clone();
        let mut credential = request.credential.as_ref();
        let mut redirects = 0;
        loop {
            let sent = self.send(&url, credential, request).await;
            let response = match sent {
                Err(error) if redirects > 0 && error.is_refusal() => {
                    return Err(error.by_redirect(&request.url));
                }
                sent => sent?,
            };
            let Some(next) = headers::redirect(&response, &url) else {
                return self.outcome(response, url, request).await;
            };
            if redirects == self.config.redirects_max {
                let (url, limit) = (place(&request.url), self.config.redirects_max);
                return Err(Error::TooManyRedirects { url, limit });
            }
            redirects += 1;
            let next = next.map_err(|error| error.by_redirect(&request.url))?;
            // Once dropped it stays dropped: another host must not choose where it goes.
            credential = credential.filter(|_| credential::may_follow(&request.url, &next));
            url = next;
        }
    }

    async fn send(
        &self,
        url: &Url,
        credential: Option<&Credential>,
        request: &Request,
    ) -> Result<Response, Error> {
        let reach = address::vet(url, &self.config.allow_networks)?;
        let client = match reach {
            Reach::Public => &self.public,
            Reach::AllowedOnly => &self.allowed,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPT_ENCODING));
        let conditions = [
            (header::IF_NONE_MATCH, &request.etag),
            (header::IF_MODIFIED_SINCE, &request.last_modified),
        ];
        for (name, value) in conditions {
            // A validator that cannot be a header value cannot have come from one.
            if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
                headers.insert(name, value);
            }
        }
        if let Some(credential) = credential {
            credential.apply(&mut headers);
        }
        let connect_limit = Duration::from_millis(self.config.connect_timeout_ms);
        let sent = client.get(url.clone()).headers(headers).send().await;
        sent.map_err(|source| Error::of_transport(source, url, connect_limit))
    }

    async fn outcome(
        &self,
        response: Response,
        url: Url,
        request: &Request,
    ) -> Result<Outcome, Error> {
        let is_conditional = request.etag.is_some() || request.last_modified.is_some();
        match response.status() {
            // To a plain request it is an error like any other: there is no copy at hand.
            http::StatusCode::NOT_MODIFIED if is_conditional => Ok(Outcome::NotModified),
            status if status.is_success() => {
                let validators = headers::validators(response.headers());
                let content_type = headers::text(response.headers(), &header::CONTENT_TYPE);
                let body = body::read(response, &url, &self.config).await?;
                Ok(Outcome::Fetched(Page { url, content_type, validators, body }))
            }
            status => Err(Error::Status {
                url: place(&url),
                status,
                retry_after: headers::retry_after(response.headers()),
            }),
        }
    }
}
