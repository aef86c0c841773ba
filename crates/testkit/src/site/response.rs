//! What a site answers: ordinary responses, conditional and guarded ones, and hostile ones.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::Request;

/// The body that a site sends.
#[derive(Clone, Debug)]
pub enum Body {
    /// All of it at once, with its length.
    Whole(Bytes),
    /// The same chunk again and again, as fast as it is read, for ever.
    Endless(Bytes),
    /// `chunk_bytes` at a time with a pause before each.
    Slow {
        /// All of it.
        bytes: Bytes,
        /// How much goes out at once.
        chunk_bytes: usize,
        /// What passes before each chunk.
        pause: Duration,
    },
    /// This much, and then the connection breaks in the middle of the body.
    Broken(Bytes),
    /// Not even a header, for ever.
    Silence,
}

/// The credential that a response is guarded by; without it the site answers 401.
#[derive(Clone, Debug)]
pub enum Auth {
    /// HTTP Basic.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// `Authorization: Bearer TOKEN`.
    Bearer(String),
    /// Any header with a secret value.
    ApiKey {
        /// Its name.
        header: String,
        /// Its value.
        value: String,
    },
}

impl Auth {
    fn admits(&self, request: &Request) -> bool {
        let (name, value) = match self {
            Self::Basic { user, password } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
                ("authorization", format!("Basic {pair}"))
            }
            Self::Bearer(token) => ("authorization", format!("Bearer {token}")),
            Self::ApiKey { header, value } => (header.as_str(), value.clone()),
        };
        request.header(name) == Some(&value)
    }
}

/// A response to be, made by its constructors and refined by its methods.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers, beside those that the body brings.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    auth: Option<Auth>,
}

impl Response {
    /// 200 with `body`.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::of(Body::Whole(body.into()))
    }

    /// 200 with a body of any kind.
    pub fn of(body: Body) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body, auth: None }
    }

    /// `status` without a body.
    ///
    /// # Panics
    /// When a number is no status.
    pub fn status<S: TryInto<StatusCode>>(status: S) -> Self {
        let status = status.try_into().unwrap_or_else(|_| panic!("no HTTP status"));
        Self { status, ..Self::ok("") }
    }

    /// 302 to `location`.
    pub fn redirect(location: &str) -> Self {
        Self::status(StatusCode::FOUND).header("location", location)
    }

    /// 200 with a body that never ends.
    pub fn endless(chunk: impl Into<Bytes>) -> Self {
        Self::of(Body::Endless(chunk.into()))
    }

    /// 200 with a small body that `Content-Encoding: gzip` unpacks to `bytes` spaces.
    pub fn gzip_bomb(bytes: usize) -> Self {
        const BLOCK: [u8; 4096] = [b' '; 4096];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let mut rest = bytes;
        while rest > 0 {
            let block = &BLOCK[..rest.min(BLOCK.len())];
            encoder.write_all(block).expect("memory takes every byte");
            rest -= block.len();
        }
        let body = encoder.finish().expect("memory takes every byte");
        Self::ok(body).header("content-encoding", "gzip")
    }

    /// The same response with its whole body compressed and marked so.
    pub fn gzip(self) -> Self {
        let Body::Whole(bytes) = &self.body else { panic!("only a whole body is compressed") };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory takes every byte");
        let body = Body::Whole(encoder.finish().expect("memory takes every byte").into());
        Self { body, ..self }.header("content-encoding", "gzip")
    }

    /// All of a whole body.
    ///
    /// # Panics
    /// When it comes in another way.
    pub fn whole(&self) -> Bytes {
        let Body::Whole(bytes) = &self.body else { panic!("it does not come at once") };
        bytes.clone()
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When the name or the value is not allowed in HTTP.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// Sets `Content-Type`.
    pub fn content_type(self, value: &str) -> Self {
        self.header("content-type", value)
    }

    /// Sets `ETag` (quotes included); a request that names it in `If-None-Match` gets a 304.
    pub fn etag(self, value: &str) -> Self {
        self.header("etag", value)
    }

    /// Sets `Last-Modified`; a request that names it in `If-Modified-Since` gets a 304.
    pub fn last_modified(self, value: &str) -> Self {
        self.header("last-modified", value)
    }

    /// Answers 401 to whoever lacks this credential.
    pub fn guarded_by(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// What this response becomes for `request`: itself, a 401 or a 304.
    pub(super) fn to(self, request: &Request) -> Self {
        if self.auth.as_ref().is_some_and(|auth| !auth.admits(request)) {
            return Self::status(StatusCode::UNAUTHORIZED)
                .header("www-authenticate", "Basic realm=\"site\"");
        }
        let same = |name, condition| {
            self.headers.get(name).is_some_and(|it| request.headers.get(condition) == Some(it))
        };
        let unchanged = same(header::ETAG, header::IF_NONE_MATCH)
            || same(header::LAST_MODIFIED, header::IF_MODIFIED_SINCE);
        let body = match &self.body {
            _ if unchanged => Body::Whole(Bytes::new()),
            _ if request.method == Method::HEAD => Body::Whole(Bytes::new()),
            _ => self.body.clone(),
        };
        let status = if unchanged { StatusCode::NOT_MODIFIED } else { self.status };
        Self { status, body, ..self }
    }

    /// Puts the response on the wire and counts into `sent` what leaves.
    pub(super) async fn send(self, sent: Arc<AtomicU64>) -> axum::response::Response {
        let body = match self.body {
            Body::Whole(bytes) => {
                sent.store(bytes.len() as u64, Ordering::Relaxed);
                bytes.into()
            }
            Body::Endless(chunk) => counted(stream::repeat(chunk).map(Ok), sent),
            Body::Slow { bytes, chunk_bytes, pause } => {
                counted(slow(bytes, chunk_bytes, pause).map(Ok), sent)
            }
            Body::Broken(bytes) => {
                let broken = stream::once(async {
                    tokio::task::yield_now().await; // so that what came before is sent
                    Err(std::io::ErrorKind::ConnectionReset.into())
                });
                counted(stream::iter([Ok(bytes)]).chain(broken), sent)
            }
            Body::Silence => std::future::pending().await,
        };
        let mut response = axum::response::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// A bare status.
pub(super) fn plain(status: StatusCode) -> axum::response::Response {
    let mut response = axum::response::Response::default();
    *response.status_mut() = status;
    response
}

fn counted(
    chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    sent: Arc<AtomicU64>,
) -> axum::body::Body {
    axum::body::Body::from_stream(chunks.inspect(move |chunk| {
        let bytes = chunk.as_ref().map_or(0, Bytes::len) as u64;
        sent.fetch_add(bytes, Ordering::Relaxed);
    }))
}

fn slow(bytes: Bytes, chunk_bytes: usize, pause: Duration) -> BoxStream<'static, Bytes> {
    let chunks = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let chunk = rest.split_to(chunk_bytes.clamp(1, rest.len()));
        Some((chunk, rest))
    });
    chunks.boxed()
}
