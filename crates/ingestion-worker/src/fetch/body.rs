//! Reads a body up to its limits, decompressing as it goes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder};
use futures::TryStreamExt as _;
use http::header;
use reqwest::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use url::Url;

use super::Config;
use super::error::{Error, place};

/// What servers may compress with.
pub(super) const ACCEPT_ENCODING: &str = "gzip, br";

/// Up to here any ratio is fine: little bodies of one repeated character are no attack.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// The whole body, decompressed.
pub(super) async fn read(response: Response, url: &Url, config: &Config) -> Result<Vec<u8>, Error> {
    let limit_bytes = config.body_bytes_max;
    let encoding = response.headers().get(header::CONTENT_ENCODING).cloned();
    let encoding = encoding.as_ref().map_or(Ok(""), |value| value.to_str()).unwrap_or("unreadable");
    let encoding = encoding.trim().to_ascii_lowercase();
    // The length of what is sent: a compressed body only grows.
    if response.content_length().is_some_and(|length| length > limit_bytes as u64) {
        return Err(Error::TooLarge { url: place(url), limit_bytes });
    }
    let received = Arc::new(AtomicU64::new(0));
    let counter = received.clone();
    let stream = response
        .bytes_stream()
        .inspect_ok(move |chunk| {
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        })
        .map_err(io::Error::other);
    let raw = StreamReader::new(Box::pin(stream));
    let mut plain: Box<dyn AsyncRead + Send + Unpin> = match encoding.as_str() {
        "" | "identity" => Box::new(raw),
        "gzip" | "x-gzip" => {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            Box::new(decoder)
        }
        "br" => Box::new(BrotliDecoder::new(raw)),
        "deflate" => Box::new(ZlibDecoder::new(raw)),
        _ => return Err(Error::Encoding { url: place(url), encoding }),
    };
    let mut body = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = plain.read(&mut chunk).await;
        let count = count.map_err(|source| Error::BrokenBody { url: place(url), source })?;
        if count == 0 {
            return Ok(body);
        }
        if body.len() + count > limit_bytes {
            return Err(Error::TooLarge { url: place(url), limit_bytes });
        }
        body.extend_from_slice(&chunk[..count]);
        let (out, ratio) = (body.len() as u64, config.decompression_ratio_max);
        let allowed = received.load(Ordering::Relaxed).saturating_mul(ratio);
        if out > RATIO_FREE_BYTES && out > allowed {
            return Err(Error::Bomb { url: place(url), limit_ratio: ratio });
        }
    }
}
