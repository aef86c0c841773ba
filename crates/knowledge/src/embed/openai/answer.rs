//! Reading what an embeddings server answers, and trusting none of it.

use std::time::Duration;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::embed::{Error, check_vector, normalise};

/// Bytes of one answer: 64 vectors of 8,192 components take about 10 MB as JSON.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The longest pause we let a server prescribe.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// What one request came to, besides failure.
pub(super) enum Outcome {
    Vectors(Vec<Vec<f32>>),
    TooMuch,
}

/// The vectors of a response to `count` texts.
pub(super) async fn read(response: Response, count: usize, dim: usize) -> Result<Outcome, Error> {
    if let Some(too_much) = refusal(&response)? {
        return Ok(too_much);
    }
    let url = response.url().clone();
    let body = read_bounded(response).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|source| Error::Permanent {
        what: format!("{url} does not answer as an embeddings server"),
        source: Some(source.into()),
    })?;
    order(answer.data, count, dim).map(Outcome::Vectors)
}

pub(super) fn unreachable(endpoint: &Url, source: reqwest::Error) -> Error {
    let what = if source.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    Error::Transient {
        what: format!("{endpoint} {what}"),
        retry_after: None,
        source: Some(source.without_url().into()),
    }
}

/// Classes a status: `None` is success.
fn refusal(response: &Response) -> Result<Option<Outcome>, Error> {
    let status = response.status();
    let what = format!("{} answered {status}", response.url());
    match status {
        StatusCode::OK => Ok(None),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Some(Outcome::TooMuch))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(Error::Transient {
            what,
            retry_after: retry_after(response.headers(), Utc::now()),
            source: None,
        }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Error::permanent(format!("{what}; check the embedder's token")))
        }
        _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Err(Error::transient(what))
        }
        _ => Err(Error::permanent(format!("{what}; check the embedder's address and model"))),
    }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(value).ok()?;
            (until.to_utc() - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

async fn read_bounded(mut response: Response) -> Result<BytesMut, Error> {
    let url = response.url().clone();
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|e| unreachable(&url, e))? {
        if body.len() + part.len() > BODY_BYTES_MAX {
            return Err(Error::permanent(format!(
                "{url} answered with more than {BODY_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// Puts vectors into the order of the texts: servers may answer in any.
fn order(items: Vec<Item>, count: usize, dim: usize) -> Result<Vec<Vec<f32>>, Error> {
    if items.len() != count {
        let got = items.len();
        return Err(Error::permanent(format!("it returned {got} vectors for {count} texts")));
    }
    let mut vectors = vec![Vec::new(); count];
    for Item { index, mut embedding } in items {
        check_vector(&embedding, dim)?;
        if !normalise(&mut embedding) {
            return Err(Error::permanent("it returned a vector without direction"));
        }
        match vectors.get_mut(index) {
            Some(slot) if slot.is_empty() => *slot = embedding,
            _ => {
                return Err(Error::permanent(format!("it returned index {index} out of place")));
            }
        }
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_dates_and_is_bounded() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let check = |value: &str, expect: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expect.map(Duration::from_secs), "{value}");
        };
        check("7", Some(7));
        check("Thu, 01 Jan 2026 00:01:30 GMT", Some(90));
        check("Thu, 01 Jan 2015 00:01:30 GMT", Some(0));
        check("999999999", Some(3_600));
        check("soon", None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
