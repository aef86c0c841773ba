//! One look: ask the site, read the feed.

use jobs::Error;
use proto::Failure;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::app::App;
use crate::db;
use crate::db::validator::Validator;
use crate::error::{not_a_feed, not_fetched};
use crate::feed::{self, Feed};
use crate::fetch;
use crate::fetch::{Credential, Outcome, Request, place};
use crate::reading;
use crate::source::Source;

/// What a look saw.
pub(super) struct Seen {
    /// Drawn before the bytes were read.
    pub(super) observed_seq: i64,
    /// Of URL and credential.
    pub(super) identity: Vec<u8>,
    /// `None` when the site said that nothing changed.
    pub(super) body: Option<Body>,
}

/// A feed as it was read.
pub(crate) struct Body {
    /// What it says.
    pub(crate) feed: Feed,
    /// For the next look.
    pub(crate) validator: Validator,
}

/// Looks at a source.
pub(super) async fn look(app: &App, source: &Source, url: &Url) -> Result<Seen, Error> {
    let observed_seq = jobs::observe(&app.pool).await?;
    let credential = app.credential(source)?;
    let identity = identity(source);
    let days = i32::from(app.config.full_look_days);
    let validator = db::validator::get(&app.pool, source.id, &identity, days).await?;
    let body = read(app, url, credential, validator).await?;
    Ok(Seen { observed_seq, identity, body })
}

/// Fetches and reads a feed; `None` when the site says that nothing changed.
pub(crate) async fn read(
    app: &App,
    url: &Url,
    credential: Option<Credential>,
    validator: Option<Validator>,
) -> Result<Option<Body>, Failure> {
    let Validator { etag, last_modified } = validator.unwrap_or_default();
    let request = Request { url: url.clone(), credential, etag, last_modified };
    let page = match app.fetch.get(&request).await.map_err(|error| not_fetched(&error))? {
        Outcome::NotModified => return Ok(None),
        Outcome::Fetched(page) => page,
    };
    let fetch::Validators { etag, last_modified } = page.validators;
    let parse = move || feed::parse(&page.body, page.content_type.as_deref(), Some(&page.url));
    let feed = reading::read(&place(url), reading::TIME_MAX, parse)
        .await?
        .map_err(|error| not_a_feed(url, &error))?;
    // What is missing from a body that broke off is to be asked for again.
    let validator = match feed.broken_off {
        true => Validator::default(),
        false => Validator { etag, last_modified },
    };
    Ok(Some(Body { feed, validator }))
}

/// Of what the validators were given for: after an edit of either they say nothing.
fn identity(source: &Source) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update((source.draft.url.len() as u64).to_be_bytes());
    hasher.update(&source.draft.url);
    hasher.update(source.credential.as_deref().unwrap_or_default());
    hasher.finalize().to_vec()
}
