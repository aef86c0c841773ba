//! Users: people who sign in.

use chassis::caller::{Role, Scope};
use chrono::{DateTime, Utc};
use proto::{Failure, Reason, UserId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Act},
    db::{
        self,
        user::{Change, NewUser as NewRow, Row},
    },
    identity::Identity,
    password,
    projects::Names,
    scope,
};

/// Longest name, in characters.
pub(crate) const NAME_CHARACTERS_MAX: usize = 64;

/// A user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct User {
    /// Its id.
    pub(crate) id: String,
    /// The name to sign in with, in any case.
    pub(crate) name: String,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: String,
    /// True: all projects, also those to come.
    pub(crate) all_projects: bool,
    /// The slugs of the projects, when not all.
    pub(crate) projects: Vec<String>,
    /// When the user was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When the user last signed in.
    pub(crate) last_sign_in_at: Option<DateTime<Utc>>,
}

/// A user to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// The name to sign in with.
    pub(crate) name: String,
    /// 10 to 256 characters.
    #[schema(value_type = String)]
    pub(crate) password: SecretString,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: String,
    /// True: all projects, also those to come.
    #[serde(default)]
    pub(crate) all_projects: bool,
    /// Ids or slugs; at least one unless it is all projects.
    #[serde(default)]
    pub(crate) projects: Vec<String>,
}

/// Changes to a user; what is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// A new password; it ends the user's sessions.
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<SecretString>,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: Option<String>,
    /// True: all projects, also those to come.
    pub(crate) all_projects: Option<bool>,
    /// Ids or slugs; an empty list means none.
    pub(crate) projects: Option<Vec<String>>,
}

impl User {
    fn new(row: Row, names: &Names) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            role: row.role,
            all_projects: row.all_projects,
            projects: slugs(&row.projects, names),
            created_at: row.created_at,
            last_sign_in_at: row.last_sign_in_at,
        }
    }
}

/// The slugs of a scope's projects.
pub(crate) fn slugs(projects: &[Uuid], names: &Names) -> Vec<String> {
    projects.iter().map(|id| names.slug(&id.to_string())).collect()
}

/// A role that people may have.
pub(crate) fn human_role(text: &str) -> Result<Role, Failure> {
    text.parse().ok().filter(|role| *role != Role::Service).ok_or_else(|| {
        Failure::invalid(
            "role",
            format!("there is no role {text:?}; choose viewer, operator or admin"),
        )
    })
}

/// Every user.
pub(crate) async fn list(app: &App, who: &Identity) -> Result<Vec<User>, Failure> {
    who.require_admin()?;
    let names = Names::load(app, who).await?;
    let rows = db::user::all(&app.pool).await?;
    Ok(rows.into_iter().map(|row| User::new(row, &names)).collect())
}

/// Makes a user.
pub(crate) async fn create(app: &App, who: &Identity, new: NewUser) -> Result<User, Failure> {
    who.require_admin()?;
    let name = check_name(&new.name)?;
    let role = human_role(&new.role)?;
    let names = Names::load(app, who).await?;
    let scope = scope::of_someone_new(&names, new.all_projects, &new.projects)?;
    let password_hash = password::hash(new.password).await?;
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    let row = NewRow { name, password_hash: &password_hash, role, scope: &scope };
    let row = db::user::insert(&mut *tx, row).await?.ok_or_else(|| {
        Failure::new(
            Reason::AlreadyExists,
            format!("there is a user {name} already; choose another name"),
        )
        .violation("name", "is taken")
    })?;
    let user = User::new(row, &names);
    audit::record(&mut *tx, who, Act::new("user.create", name, &user.id).made(&user)).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(user)
}

/// Changes a user.
pub(crate) async fn update(
    app: &App,
    who: &Identity,
    id: &str,
    change: UserChange,
) -> Result<User, Failure> {
    who.require_admin()?;
    let id = UserId::parse("id", id)?;
    let role = change.role.as_deref().map(human_role).transpose()?;
    let names = Names::load(app, who).await?;
    let scope = scope::asked(&names, change.all_projects, change.projects.as_deref())?;
    let new_password = change.password.is_some();
    let password_hash = match change.password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    let before = find(&mut tx, id).await?;
    let stays_admin = role.is_none_or(|role| role == Role::Admin)
        && scope.as_ref().is_none_or(|scope| *scope == Scope::All);
    if !stays_admin {
        keep_an_admin(&mut tx, &before).await?;
    }
    let changed = Change { password_hash: password_hash.as_deref(), role, scope: scope.as_ref() };
    let after = db::user::update(&mut tx, id, changed)
        .await?
        .ok_or_else(|| Failure::not_found("user", id))?;
    let (before, after) = (User::new(before, &names), User::new(after, &names));
    let mut act = Act::new("user.update", &after.name, &after.id).change(&before, &after);
    if new_password {
        act = act.secret("password", "changed");
    }
    audit::record(&mut *tx, who, act).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(after)
}

/// Removes a user with their sessions.
pub(crate) async fn delete(app: &App, who: &Identity, id: &str) -> Result<(), Failure> {
    who.require_admin()?;
    let id = UserId::parse("id", id)?;
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    let row = find(&mut tx, id).await?;
    keep_an_admin(&mut tx, &row).await?;
    db::user::remove(&mut *tx, id).await?;
    let text = id.to_string();
    audit::record(&mut *tx, who, Act::new("user.delete", &row.name, &text)).await?;
    tx.commit().await.map_err(database::failure)
}

async fn find(tx: &mut sqlx::PgConnection, id: UserId) -> Result<Row, Failure> {
    db::user::find(tx, id).await?.ok_or_else(|| Failure::not_found("user", id))
}

/// Refuses to take the last administrator away: nobody could let anyone in again.
async fn keep_an_admin(tx: &mut sqlx::PgConnection, user: &Row) -> Result<(), Failure> {
    let is_admin = user.role == Role::Admin.as_str() && user.all_projects;
    if is_admin && db::user::other_admins(tx, user.id).await? == 0 {
        return Err(Failure::new(
            Reason::Conflict,
            format!("{} is the last administrator; make another one first", user.name),
        ));
    }
    Ok(())
}

fn check_name(text: &str) -> Result<&str, Failure> {
    let name = text.trim();
    let length = name.chars().count();
    if (1..=NAME_CHARACTERS_MAX).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    Err(Failure::invalid("name", format!("a name has 1 to {NAME_CHARACTERS_MAX} characters")))
}
