//! The REST API's client: one request at a time, each with a deadline, answers of bounded size.

mod events;
mod instance;
mod live;
mod problem;

use std::{io, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use chrono::{DateTime, Utc};
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

pub(crate) use events::Event;
pub(crate) use instance::{
    INSTANCE_FILE, Instance, InstanceFile, TOKEN_FILE, find, of_data_dir, read_secret,
};
pub(crate) use live::Live;
pub(crate) use problem::{FieldProblem, Problem};

use crate::error::Error;
use events::Events;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a GET is sent again to a server that refuses connections, as one that restarts does.
const GET_RETRIES_MAX: usize = 3;

/// How long a stream of events may last; what watches it says when it ends.
const STREAM_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Items a list asks for at a time.
pub(crate) const PAGE_SIZE: usize = 200;

/// Pages of one list that are read at most.
const PAGES_MAX: usize = 100;

/// Query parameters.
pub(crate) type Query<'a> = [(&'a str, String)];

/// Talks to one instance.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    timeout: Duration,
}

/// An answer with what its headers tell.
pub(crate) struct Answer {
    /// The body.
    pub(crate) value: Value,
    /// The server's clock.
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Client {
    /// A client of an instance; no request takes longer than `timeout`.
    pub(crate) fn new(instance: &Instance, timeout: Duration) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(chassis::tls::client_config())
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could carry the token to another host, and a proxy read it.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("commandcenter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| Error::Unreachable { url: instance.url.to_string(), source })?;
        let authorization = bearer(&instance.token)?;
        Ok(Self { http, base: instance.url.clone(), authorization, timeout })
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &[&str], query: &Query<'_>) -> Result<Value, Error> {
        Ok(self.look(path, query).await?.value)
    }

    /// Reads, with what the headers tell.
    pub(crate) async fn look(&self, path: &[&str], query: &Query<'_>) -> Result<Answer, Error> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_times(GET_RETRIES_MAX);
        (|| self.send(Method::GET, path, query, None)).retry(backoff).when(is_refused).await
    }

    /// Acts on what the path names.
    pub(crate) async fn act(&self, path: &[&str]) -> Result<Value, Error> {
        Ok(self.send(Method::POST, path, &[], None).await?.value)
    }

    /// Creates or acts.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        self.post_text(path, body.to_string()).await
    }

    /// Creates from a body that is JSON already.
    pub(crate) async fn post_text(&self, path: &[&str], body: String) -> Result<Value, Error> {
        Ok(self.send(Method::POST, path, &[], Some(body)).await?.value)
    }

    /// Declares what the path names.
    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        Ok(self.send(Method::PUT, path, &[], Some(body.to_string())).await?.value)
    }

    /// Changes.
    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        Ok(self.send(Method::PATCH, path, &[], Some(body.to_string())).await?.value)
    }

    /// Removes.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Value, Error> {
        self.delete_with(path, &[]).await
    }

    /// Removes, with parameters.
    pub(crate) async fn delete_with(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<Value, Error> {
        Ok(self.send(Method::DELETE, path, query, None).await?.value)
    }

    /// The same client whose requests may take so long.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            authorization: self.authorization.clone(),
            timeout,
        }
    }

    /// Opens a stream of server-sent events, after the event with the id `last` if there is one.
    async fn events(
        &self,
        path: &[&str],
        query: &Query<'_>,
        last: Option<&str>,
    ) -> Result<Events, Error> {
        let mut request = self
            .http
            .get(self.address(path))
            .query(query)
            .timeout(STREAM_TIME_MAX)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = sent.map_err(|_| self.late())?.map_err(|error| self.broken(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let body = self.body(response).await?;
            return Err(self.refusal(status, &body));
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(self.foreign("the answer is no stream of events"));
        }
        Ok(Events::new(response, self.base.clone()))
    }

    /// A list of at most `limit` items, over as many pages as that takes, in the API's own form:
    /// `next_page_token` is empty when there are no more.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: &Query<'_>,
        limit: usize,
    ) -> Result<Value, Error> {
        let mut items: Vec<Value> = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let size = PAGE_SIZE.min(limit - items.len());
            let mut query = query.to_vec();
            query.push(("page_size", size.to_string()));
            if !token.is_empty() {
                query.push(("page_token", token));
            }
            let mut page = self.get(path, &query).await?;
            let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) else {
                return Err(self.foreign("a list without items"));
            };
            items.extend(more);
            token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() || items.len() >= limit {
                break;
            }
        }
        items.truncate(limit);
        Ok(json!({ "items": items, "next_page_token": token }))
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &Query<'_>,
        body: Option<String>,
    ) -> Result<Answer, Error> {
        let mut request = self
            .http
            .request(method, self.address(path))
            .query(query)
            .timeout(self.timeout)
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        self.understand(status, &headers, &body)
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .push("api")
            .extend(path);
        url
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(self.foreign("the answer is longer than 64 MiB"));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn understand(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer, Error> {
        if status.is_success() {
            let value = match body {
                [] => Value::Null,
                body => serde_json::from_slice(body)
                    .map_err(|_| self.foreign("the answer is not JSON"))?,
            };
            let date = headers.get(DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
            return Ok(Answer { value, date: date.map(|date| date.to_utc()) });
        }
        Err(self.refusal(status, body))
    }

    /// A refusal that came as an event.
    fn told(&self, body: &[u8]) -> Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Error::Refused(Box::new(problem)),
            Err(_) => self.foreign("a stream ended with a problem that is none"),
        }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if !problem.detail.is_empty() => {
                Error::Refused(Box::new(Problem { status: status.as_u16(), ..problem }))
            }
            _ if status.is_client_error() || status.is_server_error() => {
                let detail = format!("{} answered {status} without saying why", self.base);
                let problem = Problem { status: status.as_u16(), detail, ..Problem::default() };
                Error::Refused(Box::new(problem))
            }
            _ => self.foreign(&format!("it answers {status}")),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() && !error.is_connect() {
            return self.late();
        }
        Error::Unreachable { url: self.base.to_string(), source: error.without_url() }
    }

    fn late(&self) -> Error {
        Error::TimedOut {
            what: format!("the answer of {}", self.base),
            seconds: self.timeout.as_secs(),
            remedy: "`commandcenter status` shows how it does; --timeout allows more",
        }
    }

    fn foreign(&self, why: &str) -> Error {
        Error::Foreign { url: self.base.to_string(), why: why.to_owned() }
    }
}

/// Whether nobody listened: the request has certainly not been seen.
fn is_refused(error: &Error) -> bool {
    let mut cause = match error {
        Error::Unreachable { source, .. } => std::error::Error::source(source),
        _ => None,
    };
    while let Some(error) = cause {
        let refused = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if refused {
            return true;
        }
        cause = error.source();
    }
    false
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Error::Usage("the token has characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
