//! Which Compose files a command is about, and what they mean.

use std::{
    env, fs,
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

/// The name of the embedded template.
const TEMPLATE: &str = "commandcenter";

/// Which Compose files, and with which variables.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// A Compose file; a later one wins [default: compose.yaml of this folder].
    #[arg(short, long = "file", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A stack that comes with CommandCenter, in place of files.
    #[arg(long, value_name = "NAME", conflicts_with = "file", value_parser = [TEMPLATE])]
    template: Option<String>,
    /// A file of variables; a later one wins [default: .env of the folder].
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
        let resolved =
            compose::resolve(&self.request()?).map_err(|error| Error::Failed(error.to_string()))?;
        for warning in &resolved.warnings {
            output.note(format_args!("warning: {warning}"));
        }
        Ok(resolved)
    }

    fn request(&self) -> Result<Request, Error> {
        let files = match (&self.template, self.file.as_slice()) {
            (Some(_), _) => Vec::new(),
            (None, []) => found()?,
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
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Ok(Request {
            documents,
            folder,
            // Named on the command line, they begin here.
            env_files: self.env_file.iter().map(|file| absolute(file)).collect(),
            environment: env::vars_os().filter_map(text).collect(),
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

fn document(path: &Path) -> Result<Document, Error> {
    Document::read(path).map_err(|source| Error::Unreadable {
        what: "the Compose file",
        path: path.to_owned(),
        remedy: "name one that you can read with -f",
        source,
    })
}
