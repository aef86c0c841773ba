//! Which Compose files a command is about, and what they mean.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    compose::{self, Document, Request, Resolved},
    error::Error,
    output::Output,
};

/// What a folder's Compose file may be called, in the order of preference.
const NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Variables of Compose that stand for options.
const FILES: &str = "COMPOSE_FILE";
const FILES_SEPARATOR: &str = "COMPOSE_PATH_SEPARATOR";
const ENV_FILES: &str = "COMPOSE_ENV_FILES";

/// The name of the embedded template.
const TEMPLATE: &str = "commandcenter";

/// Which Compose files, and with which variables.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// A Compose file, or `-`; a later one wins [default: COMPOSE_FILE, or compose.yaml of this folder].
    #[arg(short, long = "file", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A stack that comes with CommandCenter, in place of files.
    #[arg(long, value_name = "NAME", conflicts_with = "file", value_parser = [TEMPLATE])]
    template: Option<String>,
    /// A file of variables; a later one wins [default: COMPOSE_ENV_FILES, or .env of the folder].
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Include the services of a profile; `*` means all.
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// Where relative paths begin [default: the folder of the first file].
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
}

impl Files {
    /// Reads and resolves; warnings are said on stderr.
    pub(crate) fn resolve(&self, output: Output) -> Result<Resolved, Error> {
        let resolved = compose::resolve(&self.request()?);
        let warnings = match &resolved {
            Ok(resolved) => &resolved.warnings,
            Err(error) => &error.warnings,
        };
        for warning in warnings {
            output.note(format_args!("warning: {warning}"));
        }
        resolved.map_err(|error| Error::Failed(error.to_string()))
    }

    fn request(&self) -> Result<Request, Error> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<_, _> = env::vars_os().filter_map(text).collect();
        let files = match (&self.template, self.file.as_slice()) {
            (Some(_), _) => Vec::new(),
            (None, []) => named(&environment).map_or_else(found, Ok)?,
            (None, files) => files.to_vec(),
        };
        let mut documents =
            files.iter().map(|file| document(file)).collect::<Result<Vec<_>, _>>()?;
        if let Some(name) = &self.template {
            documents.push(Document {
                name: format!("{name}.yaml"),
                text: compose::TEMPLATE.to_owned(),
            });
        }
        let beside = files.first().and_then(|file| file.parent()).map(Path::to_owned);
        let folder = self.project_directory.clone().or(beside).unwrap_or_default();
        // An empty path is this folder.
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let unreadable = |source| Error::Unreadable {
            what: "the folder",
            path: folder.clone(),
            remedy: "name one with --project-directory",
            source,
        };
        let folder = fs::canonicalize(&folder).map_err(unreadable)?;
        let env_files = match self.env_file.as_slice() {
            [] => split(&environment, ENV_FILES, ","),
            files => files.to_vec(),
        };
        Ok(Request {
            documents,
            folder,
            // Named on the command line, they begin here.
            env_files: env_files.iter().map(|file| absolute(file)).collect(),
            environment,
            profiles: self.profile.iter().cloned().collect(),
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The Compose file of this folder, and what is beside it to override it.
fn found() -> Result<Vec<PathBuf>, Error> {
    let Some(name) = NAMES.iter().find(|name| Path::new(name).is_file()) else {
        return Err(Error::Usage(format!(
            "this folder has none of {}; name a file with -f",
            NAMES.join(", ")
        )));
    };
    let own = PathBuf::from(name);
    let extensions = ["override.yaml", "override.yml"].map(|it| own.with_extension(it));
    Ok([own].into_iter().chain(extensions.into_iter().filter(|it| it.is_file())).collect())
}

/// The files that a variable names.
fn named(environment: &BTreeMap<String, String>) -> Option<Vec<PathBuf>> {
    let separator = environment.get(FILES_SEPARATOR).filter(|it| !it.is_empty());
    let files = split(environment, FILES, separator.map_or(":", String::as_str));
    (!files.is_empty()).then_some(files)
}

/// The paths in a variable.
fn split(environment: &BTreeMap<String, String>, name: &str, separator: &str) -> Vec<PathBuf> {
    let paths = environment.get(name).map(String::as_str).unwrap_or_default().split(separator);
    paths.filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

fn document(path: &Path) -> Result<Document, Error> {
    let document = if path == Path::new("-") {
        Document::read_from("standard input", io::stdin().lock())
    } else {
        Document::read(path)
    };
    document.map_err(|source| Error::Unreadable {
        what: "the Compose file",
        path: path.to_owned(),
        remedy: "name one that you can read with -f",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_files_as_in_compose() {
        for (variables, wanted) in [
            (&[][..], None),
            (&[("COMPOSE_FILE", "")][..], None),
            (&[("COMPOSE_FILE", "a.yaml")][..], Some(vec!["a.yaml"])),
            (&[("COMPOSE_FILE", "a.yaml:b/c.yaml")][..], Some(vec!["a.yaml", "b/c.yaml"])),
            (
                &[("COMPOSE_FILE", "a.yaml;b:c.yaml"), ("COMPOSE_PATH_SEPARATOR", ";")][..],
                Some(vec!["a.yaml", "b:c.yaml"]),
            ),
        ] {
            let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let wanted: Option<Vec<_>> =
                wanted.map(|files| files.into_iter().map(PathBuf::from).collect());
            assert_eq!(named(&variables.iter().map(variable).collect()), wanted, "{variables:?}");
        }
    }
}
