//! API tokens: shown once, kept as a hash.

use chassis::auth::TokenHash;
use chrono::{DateTime, TimeDelta, Utc};
use proto::{Failure, Reason};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Act},
    db::{
        self,
        api_token::{NewToken as NewRow, Row},
    },
    identity::Identity,
    projects::Names,
    scope, secret, users,
};

/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 120;
/// Longest life, in days.
const DAYS_MAX: u32 = 3650;

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its id, not the secret.
    pub(crate) id: String,
    /// What it is for.
    pub(crate) name: String,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: String,
    /// True: all projects, also those to come.
    pub(crate) all_projects: bool,
    /// The slugs of the projects, when not all.
    pub(crate) projects: Vec<String>,
    /// Who made it.
    pub(crate) created_by: String,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it stops working; never when absent.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for.
    pub(crate) name: String,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: String,
    /// True: all projects, also those to come.
    #[serde(default)]
    pub(crate) all_projects: bool,
    /// Ids or slugs; at least one unless it is all projects.
    #[serde(default)]
    pub(crate) projects: Vec<String>,
    /// Days until it stops working; it never does when absent.
    pub(crate) expires_in_days: Option<u32>,
}

/// A token that was just made: the only time its secret is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// The secret: send it as `Authorization: Bearer …`.
    pub(crate) token: String,
    /// What is known of it later.
    #[serde(flatten)]
    pub(crate) details: Token,
}

impl Token {
    fn new(row: Row, names: &Names) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            role: row.role,
            all_projects: row.all_projects,
            projects: users::slugs(&row.projects, names),
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }

    /// Whether it still works.
    pub(crate) fn works(&self) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > Utc::now())
    }
}

/// Every token of people and programs, newest first.
pub(crate) async fn list(app: &App, who: &Identity) -> Result<Vec<Token>, Failure> {
    who.require_admin()?;
    let names = Names::load(app, who).await?;
    let rows = db::api_token::all(&app.pool).await?;
    Ok(rows.into_iter().map(|row| Token::new(row, &names)).collect())
}

/// Makes a token.
pub(crate) async fn create(app: &App, who: &Identity, new: NewToken) -> Result<MadeToken, Failure> {
    who.require_admin()?;
    let name = new.name.trim();
    if !(1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) {
        return Err(Failure::invalid(
            "name",
            format!("say what the token is for, in 1 to {NAME_CHARACTERS_MAX} characters"),
        ));
    }
    let role = users::human_role(&new.role)?;
    let expires_at = expiry(new.expires_in_days)?;
    let names = Names::load(app, who).await?;
    let scope = scope::of_someone_new(&names, new.all_projects, &new.projects)?;
    let token = secret::generate(secret::API_TOKEN);
    let hash = TokenHash::of(token.expose_secret()).0;
    let created_by = &who.caller.name;
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    let row = NewRow { hash: &hash, name, role, scope: &scope, created_by, expires_at };
    let row = db::api_token::insert(&mut *tx, row).await?;
    let details = Token::new(row, &names);
    let act = Act::new("token.create", name, &details.id).made(&details);
    audit::record(&mut *tx, who, act).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(MadeToken { token: token.expose_secret().to_owned(), details })
}

/// Revokes a token: at once here, within the time that verdicts are believed elsewhere.
pub(crate) async fn revoke(app: &App, who: &Identity, id: &str) -> Result<(), Failure> {
    who.require_admin()?;
    let id: Uuid = id
        .parse()
        .map_err(|_| Failure::invalid("id", format!("{id:?} is not a token's id; send a UUID")))?;
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    let (row, hash) = db::api_token::revoke(&mut *tx, id).await?.ok_or_else(|| {
        Failure::new(Reason::NotFound, format!("there is no token {id} that still works"))
    })?;
    let text = id.to_string();
    audit::record(&mut *tx, who, Act::new("token.revoke", &row.name, &text)).await?;
    tx.commit().await.map_err(database::failure)?;
    if let Ok(hash) = <[u8; 32]>::try_from(hash) {
        app.authenticator.forget(TokenHash(hash));
    }
    Ok(())
}

fn expiry(days: Option<u32>) -> Result<Option<DateTime<Utc>>, Failure> {
    match days {
        None => Ok(None),
        Some(days @ 1..=DAYS_MAX) => Ok(Some(Utc::now() + TimeDelta::days(i64::from(days)))),
        Some(days) => Err(Failure::invalid(
            "expires_in_days",
            format!("a token lives 1 to {DAYS_MAX} days, not {days}; leave it out for no end"),
        )),
    }
}
