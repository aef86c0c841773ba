//! Projects: what sources, documents and callers' scopes belong to.

use chassis::caller::{Role, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use proto::{Failure, ProjectId, Reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Act},
    db::{self, project::Row},
    identity::Identity,
    purge, sources, stacks,
};

/// Projects that there may be: each list of them is whole, and each request may need any.
const PROJECTS_MAX: i64 = 1_000;
/// Longest slug, in characters.
const SLUG_CHARACTERS_MAX: usize = 63;
/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 120;
/// A write that was under way when its project was withdrawn has ended after so long.
const LATE_WRITES: TimeDelta = TimeDelta::minutes(3);

/// A project.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Project {
    /// Its id; every path and filter takes the id or the slug.
    pub(crate) id: String,
    /// Its short name in URLs and commands.
    pub(crate) slug: String,
    /// Its name for people.
    pub(crate) name: String,
    /// `active` or `deleting`.
    pub(crate) state: String,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
}

impl From<Row> for Project {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.to_string(),
            slug: row.slug,
            name: row.name,
            state: row.state,
            created_at: row.created_at,
        }
    }
}

/// A project to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// Letters, digits, `.`, `_` and `-`; kept in lower case.
    pub(crate) slug: String,
    /// For people; the slug when absent.
    pub(crate) name: Option<String>,
}

/// The projects a caller sees, to turn ids into slugs.
pub(crate) struct Names(Vec<Row>);

impl Names {
    /// Loads them.
    pub(crate) async fn load(app: &App, who: &Identity) -> Result<Self, Failure> {
        let mut rows = db::project::all(&app.pool).await?;
        rows.retain(|row| who.caller.may_read(row.id));
        Ok(Self(rows))
    }

    /// The slug of the project with this id; the id itself when it is gone.
    pub(crate) fn slug(&self, id: &str) -> String {
        let found = self.0.iter().find(|row| row.id.to_string() == id);
        found.map_or_else(|| id.to_owned(), |row| row.slug.clone())
    }

    /// The id of the project with this id or slug.
    pub(crate) fn id(&self, key: &str) -> Result<ProjectId, Failure> {
        let key_lower = key.to_lowercase();
        self.0
            .iter()
            .find(|row| row.slug == key_lower || row.id.to_string() == key_lower)
            .map(|row| row.id)
            .ok_or_else(|| unknown(key))
    }

    /// The ids of the projects with these ids or slugs, in text form; empty keys are skipped.
    pub(crate) fn ids(&self, keys: &[String]) -> Result<Vec<String>, Failure> {
        let keys = keys.iter().filter(|key| !key.is_empty());
        keys.map(|key| self.id(key).map(|id| id.to_string())).collect()
    }

    /// All slugs.
    pub(crate) fn slugs(&self) -> Vec<String> {
        self.0.iter().map(|row| row.slug.clone()).collect()
    }
}

/// Every project that the caller sees.
pub(crate) async fn list(app: &App, who: &Identity) -> Result<Vec<Project>, Failure> {
    Ok(Names::load(app, who).await?.0.into_iter().map(Project::from).collect())
}

/// One project, by id or slug.
pub(crate) async fn get(app: &App, who: &Identity, key: &str) -> Result<Project, Failure> {
    find(app, who, key).await?.map(Project::from).ok_or_else(|| unknown(key))
}

/// Makes a project.
pub(crate) async fn create(app: &App, who: &Identity, new: NewProject) -> Result<Project, Failure> {
    let slug = check_slug(&new.slug)?;
    let name = new.name.filter(|name| !name.trim().is_empty()).unwrap_or(new.slug);
    if name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Failure::invalid(
            "name",
            format!("a project's name has at most {NAME_CHARACTERS_MAX} characters"),
        ));
    }
    may_create(who)?;
    match insert(app, who, &slug, name.trim()).await? {
        Some(row) => Ok(row.into()),
        None => Err(Failure::new(
            Reason::AlreadyExists,
            format!("there is a project {slug} already; choose another slug"),
        )
        .violation("slug", "is taken")),
    }
}

/// A project to read or write.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: ProjectId,
    pub(crate) slug: String,
    /// Whether this very request has made the project.
    made: bool,
}

impl From<Row> for Target {
    fn from(row: Row) -> Self {
        Self { id: row.id, slug: row.slug, made: false }
    }
}

/// The project to read, by id or slug.
pub(crate) async fn readable(app: &App, who: &Identity, key: &str) -> Result<Target, Failure> {
    find(app, who, key).await?.map(Target::from).ok_or_else(|| unknown(key))
}

/// The project to change, by id or slug: operators, while it is not being deleted.
pub(crate) async fn changeable(app: &App, who: &Identity, key: &str) -> Result<Target, Failure> {
    let row = find(app, who, key).await?.ok_or_else(|| unknown(key))?;
    who.require(Role::Operator, row.id)?;
    active(row)
}

/// The project to write to, by id or slug. The first write of an operator of all projects makes
/// a project that is not there yet; when that write fails, [`withdraw`] it.
pub(crate) async fn ensure(app: &App, who: &Identity, key: &str) -> Result<Target, Failure> {
    if key.trim().is_empty() {
        return Err(Failure::invalid("project", "name a project: its slug or its id"));
    }
    who.require_role(Role::Operator)?;
    if let Some(row) = find(app, who, key).await? {
        return active(row);
    }
    if Uuid::parse_str(key).is_ok() || may_create(who).is_err() {
        return Err(unknown(key));
    }
    let slug = check_slug(key)?;
    match insert(app, who, &slug, key).await? {
        Some(row) => Ok(Target { made: true, ..Target::from(row) }),
        // Someone else's first write came first.
        None => find(app, who, key).await?.ok_or_else(|| unknown(key)).and_then(active),
    }
}

/// Removes the project that a request has made for a write that then failed, unless something
/// has come into it meanwhile. A failure to do so leaves an empty project, and is logged.
pub(crate) async fn withdraw(app: &App, who: &Identity, target: &Target, why: &Failure) {
    if !target.made {
        return;
    }
    let slug = &target.slug;
    // The write may have been carried out without our hearing of it.
    if matches!(why.reason, Reason::Unavailable | Reason::Timeout | Reason::Internal) {
        return;
    }
    if let Err(failure) = remove_empty(app, who, target.id, slug).await {
        tracing::warn!(slug, error = failure.message, "an empty project is left behind");
    }
}

async fn remove_empty(app: &App, who: &Identity, id: ProjectId, slug: &str) -> Result<(), Failure> {
    if sources::any(app, who, id).await? || stacks::any(app, who, id).await {
        return Ok(());
    }
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    db::project::remove(&mut tx, id).await.map_err(database::failure)?;
    // A source that somebody else puts into it this instant must not be left without a project.
    purge::enqueue(&mut tx, id, slug, Some(Utc::now() + LATE_WRITES)).await?;
    let text = id.to_string();
    audit::record(&mut *tx, who, Act::new("project.delete", slug, &text).of(Some(id))).await?;
    tx.commit().await.map_err(database::failure)
}

/// Marks a project as going away; a job removes its sources, documents and stack, then the
/// row.
/// Returns the job's id.
pub(crate) async fn delete(app: &App, who: &Identity, key: &str) -> Result<String, Failure> {
    let row = find(app, who, key).await?.ok_or_else(|| unknown(key))?;
    who.require(Role::Admin, row.id)?;
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    db::project::mark_deleting(&mut *tx, row.id).await?;
    let job = purge::enqueue(&mut tx, row.id, &row.slug, None).await?;
    let id = row.id.to_string();
    let act = Act::new("project.delete", &row.slug, &id).of(Some(row.id));
    audit::record(&mut *tx, who, act).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(job)
}

async fn find(app: &App, who: &Identity, key: &str) -> Result<Option<Row>, Failure> {
    let row = db::project::find(&app.pool, key).await?;
    Ok(row.filter(|row| who.caller.may_read(row.id)))
}

async fn insert(app: &App, who: &Identity, slug: &str, name: &str) -> Result<Option<Row>, Failure> {
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    if db::project::count_locked(&mut tx).await? >= PROJECTS_MAX {
        return Err(Failure::new(
            Reason::Conflict,
            format!("there are {PROJECTS_MAX} projects, which is the limit: delete one first"),
        ));
    }
    let Some(row) = db::project::insert(&mut *tx, slug, name).await? else { return Ok(None) };
    let id = row.id.to_string();
    let made = Project::from(row.clone());
    let act = Act::new("project.create", slug, &id).of(Some(row.id)).made(&made);
    audit::record(&mut *tx, who, act).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(Some(row))
}

fn active(row: Row) -> Result<Target, Failure> {
    if row.state == "active" {
        return Ok(row.into());
    }
    Err(Failure::new(
        Reason::Conflict,
        format!("the project {} is being deleted; use another one", row.slug),
    ))
}

/// Whether the caller may make projects: operators of all of them.
pub(crate) fn may_create(who: &Identity) -> Result<(), Failure> {
    who.require_role(Role::Operator)?;
    if who.caller.scope == Scope::All {
        return Ok(());
    }
    Err(Failure::new(
        Reason::Forbidden,
        format!(
            "{} works on given projects only; someone with all projects can make a new one",
            who.caller.name
        ),
    ))
}

fn unknown(key: &str) -> Failure {
    Failure::not_found("project", key).violation("project", "does not exist")
}

fn check_slug(text: &str) -> Result<String, Failure> {
    let slug = text.trim().to_lowercase();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let starts_well = slug.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts_well
        && slug.len() <= SLUG_CHARACTERS_MAX
        && slug.chars().all(good)
        && Uuid::parse_str(&slug).is_err()
    {
        return Ok(slug);
    }
    Err(Failure::invalid(
        "slug",
        format!(
            "{text:?} cannot be a project's slug: use 1 to {SLUG_CHARACTERS_MAX} letters, digits, \
             dots, underscores and hyphens, and start with a letter or digit"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_and_harmless_in_urls() {
        for (text, slug) in [("P", "p"), ("docs-2.0_x", "docs-2.0_x"), (" Web ", "web")] {
            assert_eq!(check_slug(text).unwrap(), slug);
        }
        let uuid = ProjectId::generate().to_string();
        let long = "a".repeat(64);
        for bad in ["", "a b", "-a", "../x", "é", "<script>", &uuid, &long] {
            assert_eq!(check_slug(bad).unwrap_err().violations[0].field, "slug", "{bad}");
        }
    }
}
