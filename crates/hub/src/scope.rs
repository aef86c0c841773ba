//! Which projects a user or a token reaches, as requests say it.
//!
//! All projects must be asked for in so many words: a list that has become empty, because its
//! project is gone, reaches none.

use chassis::caller::Scope;
use proto::Failure;

use crate::projects::Names;

/// The scope that a request names by ids or slugs; none when it does not speak of projects.
///
/// # Errors
/// `INVALID_INPUT` when it asks for all and for some; `NOT_FOUND` for an unknown project.
pub(crate) fn asked(
    names: &Names,
    all_projects: Option<bool>,
    projects: Option<&[String]>,
) -> Result<Option<Scope>, Failure> {
    let invalid = |text| Err(Failure::invalid("projects", text));
    let names_some = projects.unwrap_or_default().iter().any(|key| !key.is_empty());
    match (all_projects, projects) {
        (Some(true), _) if names_some => {
            invalid("name projects or set all_projects to true, but not both")
        }
        (Some(true), _) => Ok(Some(Scope::All)),
        (Some(false), None) => invalid("name the projects, as it is not all of them"),
        (_, Some(keys)) => {
            let keys = keys.iter().filter(|key| !key.is_empty());
            let ids = keys.map(|key| names.id(key)).collect::<Result<_, _>>()?;
            Ok(Some(Scope::Projects(ids)))
        }
        (None, None) => Ok(None),
    }
}

/// The scope of someone new, who reaches something.
///
/// # Errors
/// As [`asked`], and `INVALID_INPUT` when it names no project and does not ask for all.
pub(crate) fn of_someone_new(
    names: &Names,
    all_projects: bool,
    projects: &[String],
) -> Result<Scope, Failure> {
    match asked(names, Some(all_projects), Some(projects))? {
        Some(scope) if scope != Scope::Projects([].into()) => Ok(scope),
        _ => Err(Failure::invalid(
            "projects",
            "name at least one project, or set all_projects to true: all, also those to come",
        )),
    }
}
