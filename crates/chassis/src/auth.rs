//! Turns a bearer token into a [`Caller`], once for every server.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use proto::{Failure, Reason};
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::{Status, body::Body};

use crate::caller::Caller;

/// How long a verdict is believed: a revoked token stops working after this long at the latest.
pub const VERDICT_TTL: Duration = Duration::from_secs(30);

/// How many verdicts are kept.
const VERDICTS_MAX: usize = 10_000;

/// Tokens longer than this are not ours, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// The sha256 of a token; the only form in which tokens are stored or compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Hashes a token. Tokens are 256 random bits, so one plain hash is enough.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

/// Knows the tokens. There is a network behind it: the hub's tables.
pub trait Verify: Send + Sync {
    /// The caller that the token stands for; `None` when it is unknown, expired or revoked.
    fn verify(
        &self,
        token: TokenHash,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Caller>, Failure>> + Send + '_>>;
}

/// Who a token stands for, and since when we know.
type Verdict = (Instant, Arc<Caller>);

/// Verifies tokens and remembers the verdicts for [`VERDICT_TTL`].
#[derive(Clone)]
pub struct Authenticator {
    verify: Arc<dyn Verify>,
    verdicts: Arc<Cache<TokenHash, Verdict>>,
}

impl Authenticator {
    /// An authenticator that asks `verify`.
    #[must_use]
    pub fn new(verify: Arc<dyn Verify>) -> Self {
        Self { verify, verdicts: Arc::new(Cache::new(VERDICTS_MAX)) }
    }

    /// The caller behind the `Authorization` header.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a valid token; `UNAVAILABLE` when nobody can tell.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Failure> {
        let token = bearer(headers).ok_or_else(|| {
            Failure::new(
                Reason::Unauthenticated,
                "no token: send `Authorization: Bearer TOKEN` with one from \
                 `commandcenter token create`",
            )
        })?;
        self.caller(TokenHash::of(token)).await?.ok_or_else(|| {
            Failure::new(
                Reason::Unauthenticated,
                "the token is unknown, expired or revoked: make a new one with \
                 `commandcenter token create`",
            )
        })
    }

    /// The caller behind a token's hash.
    ///
    /// # Errors
    /// `UNAVAILABLE` when nobody can tell.
    pub async fn caller(&self, token: TokenHash) -> Result<Option<Arc<Caller>>, Failure> {
        if let Some((at, caller)) = self.verdicts.get(&token)
            && at.elapsed() < VERDICT_TTL
        {
            return Ok(Some(caller));
        }
        let caller = self.verify.verify(token).await?.map(Arc::new);
        // Only known tokens are remembered, so that a new token works at once.
        if let Some(caller) = &caller {
            self.verdicts.insert(token, (Instant::now(), caller.clone()));
        }
        Ok(caller)
    }

    /// Forgets a verdict at once, where this process itself revoked the token.
    pub fn forget(&self, token: TokenHash) {
        self.verdicts.remove(&token);
    }
}

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX)
        .then_some(token)
}

/// The caller of a gRPC request that came through [`Layer`].
///
/// # Errors
/// `UNAUTHENTICATED` when the server has no such layer: closed by default.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Arc<Caller>, Status> {
    request.extensions().get::<Arc<Caller>>().cloned().ok_or_else(|| {
        Failure::new(Reason::Unauthenticated, "this server does not know who calls").into()
    })
}

/// Runs a handler with `state` for whoever calls, and puts its refusal on the wire.
///
/// # Errors
/// Those of [`caller`] and of the handler.
pub async fn answer<'a, S, Q, A, F>(
    state: &'a S,
    request: tonic::Request<Q>,
    handler: impl FnOnce(&'a S, Arc<Caller>, Q) -> F,
) -> Result<tonic::Response<A>, Status>
where
    F: Future<Output = Result<A, Failure>>,
{
    let caller = caller(&request)?;
    let answer = handler(state, caller, request.into_inner()).await?;
    Ok(tonic::Response::new(answer))
}

/// Methods that anyone may call: they tell nothing about our data.
const OPEN_PREFIXES: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// The gRPC server's gate: no caller, no call.
#[derive(Clone)]
pub struct Layer {
    authenticator: Authenticator,
}

impl Layer {
    /// A gate that asks `authenticator`.
    #[must_use]
    pub fn new(authenticator: Authenticator) -> Self {
        Self { authenticator }
    }
}

impl<S> tower::Layer<S> for Layer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, authenticator: self.authenticator.clone() }
    }
}

/// See [`Layer`].
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    authenticator: Authenticator,
}

impl<S> tower::Service<Request<Body>> for Gate<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone was not polled ready; the one that was must serve this call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let authenticator = self.authenticator.clone();
        Box::pin(async move {
            let path = request.uri().path();
            if !OPEN_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
                match authenticator.authenticate(request.headers()).await {
                    Ok(caller) => request.extensions_mut().insert(caller),
                    Err(failure) => return Ok(Status::from(failure).into_http()),
                };
            }
            inner.call(request).await
        })
    }
}
