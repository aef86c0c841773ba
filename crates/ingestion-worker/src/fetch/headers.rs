//! Reads what response headers mean for the next request.

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName};
use reqwest::Response;
use url::Url;

use super::Validators;
use super::error::{Error, place};

/// The longest that a server's wish to be left alone is taken for, in seconds: a day.
const WAIT_S_MAX: u64 = 24 * 60 * 60;

/// A header as text; none if it is missing or not ASCII.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(super) fn validators(headers: &HeaderMap) -> Validators {
    Validators {
        etag: text(headers, &header::ETAG),
        last_modified: text(headers, &header::LAST_MODIFIED),
    }
}

/// Where a response redirects to; none if it does not.
pub(super) fn redirect(response: &Response, from: &Url) -> Option<Result<Url, Error>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?;
    let location = String::from_utf8_lossy(location.as_bytes());
    let invalid = |_| Error::InvalidUrl { url: place(from), reason: "it redirects to no URL" };
    Some(from.join(&location).map_err(invalid))
}

/// `Retry-After` in seconds or as a date, at most a day.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?;
    wait(&value, SystemTime::now())
}

fn wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(Duration::from_secs(WAIT_S_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_waits_in_seconds_and_as_dates() {
        let now = httpdate::parse_http_date("Wed, 31 Dec 2003 10:00:00 GMT").expect("a date");
        let seconds = |value| wait(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Wed, 31 Dec 2003 10:01:00 GMT"), Some(60));
        assert_eq!(seconds("Wed, 31 Dec 2003 09:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999"), Some(WAIT_S_MAX));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }
}
