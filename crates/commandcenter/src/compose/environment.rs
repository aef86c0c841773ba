//! The variables of a service: those of its files, then its own.

use std::{collections::BTreeMap, io};

use super::{Project, disk, dotenv, field::Field, interpolate, key, report::Report, yaml::Place};

/// Reads `env_file` and `environment`; later ones win.
pub(super) fn read(
    spec: &str,
    field: &Field<'_>,
    project: &Project<'_>,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let files = field.get("env_file").map(|it| items(&it, report)).unwrap_or_default();
    for file in files {
        for (name, value, place) in of_file(&file, project, report) {
            let key = format!("{}.environment.{name}", field.path);
            report.origin_at(format!("{spec}.environment.{name}"), place, &key);
            variables.insert(name, value);
        }
    }
    let Some(own) = field.get("environment") else { return variables };
    report.origin(format!("{spec}.environment"), &own);
    for (name, value, place) in own.pairs(report) {
        let key = format!("{}.{name}", own.path);
        report.origin_at(format!("{spec}.environment.{name}"), place, &key);
        // A name alone passes the caller's variable on; when there is none, nothing is set.
        match value.or_else(|| project.variables.get(&name).cloned()) {
            Some(value) => variables.insert(name, value),
            None => variables.remove(&name),
        };
    }
    variables
}

/// One file, or a list in which mappings are items too.
fn items<'a>(field: &Field<'a>, report: &mut Report) -> Vec<Field<'a>> {
    if field.is_map() { vec![field.clone()] } else { field.one_or_more(report) }
}

fn of_file(
    field: &Field<'_>,
    project: &Project<'_>,
    report: &mut Report,
) -> Vec<(String, String, Place)> {
    let (mut required, mut is_raw) = (true, false);
    let mut path = field.clone();
    if field.is_map() {
        key::check(field, key::ENV_FILE, report);
        required = field.get("required").is_none_or(|it| it.flag(report));
        let raw = |text: &str| match text {
            "raw" => Ok(true),
            _ => Err(format!("must be raw, or left out, not {text:?}")),
        };
        is_raw = field.get("format").and_then(|it| it.read(report, raw)).unwrap_or_default();
        let Some(named) = field.get("path") else {
            report.fault(field, "needs `path`");
            return Vec::new();
        };
        path = named;
    }
    let name = path.text(report);
    let text = match disk::text(&project.folder.join(&name)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Vec::new(),
        Err(error) => {
            report.fault(&path, disk::fault(&name, &error));
            return Vec::new();
        }
    };
    let file = report.file(&name);
    let read = if is_raw { dotenv::raw(&text) } else { dotenv::parse(&text, project.variables) };
    let variables = read.unwrap_or_else(|wrong| {
        report.wrong(file, wrong);
        Vec::new()
    });
    unset(&variables, file, report);
    let known = |it: dotenv::Variable| {
        let value = it.value.or_else(|| project.variables.get(&it.name).cloned())?;
        Some((it.name, value, Place { file, line: it.line }))
    };
    variables.into_iter().filter_map(known).collect()
}

/// Warns of values that have been cut where a variable is not set.
pub(super) fn unset(variables: &[dotenv::Variable], file: usize, report: &mut Report) {
    for variable in variables {
        for name in &variable.unset {
            let place = Place { file, line: variable.line };
            let why = interpolate::is_unset(name);
            let why = format!("{why}; put the value into single quotes if it is meant as it is");
            report.warn_at(place, &variable.name, why);
        }
    }
}
