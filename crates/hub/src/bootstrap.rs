//! The first administrator and the services' tokens, from files that the configuration names.
//!
//! Each step may run at every start and in every replica: it changes only what is missing.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use chassis::{
    auth::TokenHash,
    caller::{Role, Scope},
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use crate::{
    Config,
    db::{self, api_token::NewToken, user::NewUser},
    password, secret,
};

/// The first user's name.
const ADMIN: &str = "admin";
/// The first token's name.
const ADMIN_TOKEN: &str = "first administrator";

/// Makes what is missing.
///
/// # Errors
/// When a file cannot be read or written, or the database refuses.
pub(crate) async fn run(pool: &PgPool, config: &Config) -> anyhow::Result<()> {
    for (name, path) in &config.service_token_files {
        service_token(pool, name, path).await?;
    }
    if let Some(path) = &config.admin_password_file {
        admin_user(pool, path).await?;
    }
    if let Some(path) = &config.admin_token_file {
        admin_token(pool, path).await?;
    }
    Ok(())
}

async fn service_token(pool: &PgPool, name: &str, path: &Path) -> anyhow::Result<()> {
    let token = match read(path)? {
        Some(token) => token,
        None => {
            let token = secret::generate(secret::API_TOKEN);
            write(path, &token)?;
            token
        }
    };
    let hash = TokenHash::of(token.expose_secret()).0;
    db::api_token::set_service(pool, name, &hash)
        .await
        .with_context(|| format!("cannot store the token of the service {name}"))
}

async fn admin_user(pool: &PgPool, path: &Path) -> anyhow::Result<()> {
    if !db::user::all(pool).await?.is_empty() {
        return Ok(());
    }
    let password = match read(path)? {
        Some(password) => password,
        None => {
            let password = SecretString::from(secret::random_hex()[..20].to_owned());
            write(path, &password)?;
            password
        }
    };
    let hash = password::hash(password).await?;
    let user = NewUser { name: ADMIN, password_hash: &hash, role: Role::Admin, scope: &Scope::All };
    // Another replica may have been first; then its user stays.
    db::user::insert(pool, user).await?;
    tracing::info!(user = ADMIN, path = %path.display(), "the first user's password is in a file");
    Ok(())
}

async fn admin_token(pool: &PgPool, path: &Path) -> anyhow::Result<()> {
    if let Some(token) = read(path)? {
        let hash = TokenHash::of(token.expose_secret()).0;
        if db::api_token::is_live_admin(pool, &hash).await? {
            return Ok(());
        }
    }
    let token = secret::generate(secret::API_TOKEN);
    let hash = TokenHash::of(token.expose_secret()).0;
    let row = NewToken {
        hash: &hash,
        name: ADMIN_TOKEN,
        role: Role::Admin,
        scope: &Scope::All,
        created_by: "configuration",
        expires_at: None,
    };
    db::api_token::insert(pool, row).await?;
    // The row first: a file whose token does not work yet would mislead who waits for it.
    write(path, &token)?;
    tracing::info!(path = %path.display(), "the first administrator's token is in a file");
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Option<SecretString>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(SecretString::from(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a secret so that nobody else can read it and no reader sees half of it.
fn write(path: &Path, secret: &SecretString) -> anyhow::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let attempt = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(secret.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}
