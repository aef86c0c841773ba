//! Documents on their way: gathered into requests of bounded size, sent again when the server is
//! busy.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{client::Client, error::Error, folder::Document};

/// Documents a request.
const DOCUMENTS_MAX: usize = 100;

/// Bytes of JSON a request, unless one document alone has more.
const BYTES_MAX: usize = 12 * 1024 * 1024;

/// How often a request is sent again to a server that says it is busy.
const RETRIES_MAX: usize = 20;

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Gathers documents.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bodies: Vec<String>,
    names: Vec<String>,
    bytes: usize,
}

impl Batch {
    /// Whether another document of that many bytes of JSON fits in.
    pub(super) fn takes(&self, body: &str) -> bool {
        self.bodies.is_empty()
            || (self.bodies.len() < DOCUMENTS_MAX && self.bytes + body.len() <= BYTES_MAX)
    }

    /// Adds a document; `name` is what a person calls it.
    pub(super) fn push(&mut self, body: String, name: String) {
        self.bytes += body.len();
        self.bodies.push(body);
        self.names.push(name);
    }

    /// Sends what was gathered, if anything, and starts anew: `(name, what became of it)`.
    pub(super) async fn send(&mut self, client: &Client) -> Result<Vec<(String, Value)>, Error> {
        let Self { bodies, names, .. } = std::mem::take(self);
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let body = format!(r#"{{"documents":[{}]}}"#, bodies.join(","));
        let mut answer = post(client, body).await?;
        let Value::Array(results) = answer["results"].take() else {
            return Err(Error::Failed("the server says nothing of the documents".to_owned()));
        };
        Ok(names.into_iter().zip(results).collect())
    }
}

/// Sends a request again while the server is busy: each document has a stable name, so that a
/// second copy of it changes nothing.
async fn post(client: &Client, body: String) -> Result<Value, Error> {
    let mut retries = 0;
    loop {
        match client.post_text(&["knowledge", "documents"], body.clone()).await {
            Err(Error::Refused(problem)) if problem.is_transient() && retries < RETRIES_MAX => {
                retries += 1;
                let pause = Duration::from_secs(problem.retry_after.unwrap_or(1));
                tokio::time::sleep(pause.min(PAUSE_MAX)).await;
            }
            done => return done,
        }
    }
}

/// A document's JSON: its text as it is when it is Unicode, or else its bytes, whose encoding the
/// server finds out.
pub(super) fn body(document: &Document, content: Vec<u8>, common: &Value) -> String {
    let mut body = common.clone();
    body["external_id"] = json!(document.external_id());
    body["media_type"] = json!(document.media_type);
    match String::from_utf8(content) {
        // A NUL and its like take six bytes each in JSON, so that Base64 is shorter.
        Ok(text) if !text.contains('\0') => body["text"] = json!(text),
        Ok(text) => body["content_base64"] = json!(BASE64_STANDARD.encode(text)),
        Err(bytes) => body["content_base64"] = json!(BASE64_STANDARD.encode(bytes.as_bytes())),
    }
    body.to_string()
}
