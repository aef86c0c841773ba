//! `import`: a file or a folder becomes documents.

mod batch;

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use url::Url;

use crate::{
    cli::{Context, source, wait},
    client::{self, Client},
    error::Error,
    folder::{self, Document, Entry},
    output::Columns,
};
use batch::Batch;

/// Files that one import takes; more are to be split, so that a slip such as `/` is noticed.
const FILES_MAX: usize = 100_000;

/// The source that holds what is imported, unless another one is named.
const SOURCE: &str = "manual";

/// How long one request of the first import may take.
const FIRST_IMPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Problems that an error names.
const NAMED_MAX: usize = 20;

const COLUMNS: Columns = &[
    ("ACCEPTED", "/accepted"),
    ("SKIPPED", "/skipped"),
    ("REFUSED", "/refused"),
    ("SOURCE", "/source_id"),
];

/// Import a file or a folder of Markdown, text and HTML.
///
/// Folders are followed, links and hidden files are not. A file that was imported before becomes
/// a new revision of its document, if it changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: commandcenter import docs --project web --wait")]
pub(crate) struct Args {
    /// The file or folder.
    path: PathBuf,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    wait: wait::Wait,
}

/// Where documents go, and what is said about all of them.
#[derive(Debug, clap::Args)]
struct Target {
    /// The project, by slug or id; a new one is made.
    #[arg(short, long)]
    project: String,
    /// The manual source that holds the documents; it is made when missing.
    #[arg(long, default_value = SOURCE, value_name = "NAME")]
    source: String,
    /// The source's priority when it is made, 1 to 10.
    #[arg(long, value_name = "1-10", value_parser = source::priority)]
    priority: Option<u8>,
    /// A tag for every document; may be given several times.
    #[arg(long)]
    tag: Vec<String>,
    /// Where people read the folder on the web; results link there.
    #[arg(long, value_name = "URL")]
    base_url: Option<Url>,
}

impl Target {
    /// What all documents have in common.
    fn common(&self) -> Value {
        let mut common = json!({
            "project": self.project, "source": self.source, "tags": self.tag,
        });
        if let Some(priority) = self.priority {
            common["priority"] = json!(priority);
        }
        common
    }

    /// Where a person reads a document.
    fn url_of(&self, document: &Document) -> Url {
        let Some(mut url) = self.base_url.clone() else { return document.url() };
        if let Ok(mut path) = url.path_segments_mut() {
            let parts = document.relative.iter();
            path.pop_if_empty().extend(parts.map(|part| part.to_string_lossy()));
        }
        url
    }
}

/// What became of the files.
#[derive(Debug, Default)]
struct Report {
    accepted: usize,
    skipped: usize,
    source_id: Option<String>,
    /// (file, why it is not imported)
    problems: Vec<(String, String)>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let known = known_source(client, &args.target).await?;
    let before = match (&known, args.wait.limit()) {
        (Some(source), Some(_)) => wait::dead_jobs(client, source).await?,
        _ => wait::Dead::new(),
    };
    let bar = output.progress(0, "files");
    let report = hand_in(&args.path, &args.target, client, &bar).await?;
    bar.finish_and_clear();
    let mut result = report.to_json();
    let settled = match (&report.source_id, args.wait.limit()) {
        (Some(source), Some(limit)) => {
            let settled = wait::until_settled(context, source, &before, limit).await?;
            result["dead"] = json!(settled.dead);
            Some(settled)
        }
        _ => None,
    };
    output.object(&result, COLUMNS)?;
    report.check(&args.path)?;
    settled.map_or(Ok(()), |settled| settled.check())
}

/// Imports a folder into an instance that has just started; answers with the number of files.
pub(crate) async fn import_first(
    data_dir: &Path,
    path: &Path,
    project: &str,
) -> Result<usize, Error> {
    let client = Client::new(&client::of_data_dir(data_dir)?, FIRST_IMPORT_TIMEOUT)?;
    let target = Target {
        project: project.to_owned(),
        source: SOURCE.to_owned(),
        priority: None,
        tag: Vec::new(),
        base_url: None,
    };
    let report = hand_in(path, &target, &client, &ProgressBar::hidden()).await?;
    report.check(path)?;
    Ok(report.accepted)
}

/// The source that holds the documents, when it is there already.
async fn known_source(client: &Client, target: &Target) -> Result<Option<String>, Error> {
    match source::id_of(client, &target.source, Some(&target.project)).await {
        Ok(id) => Ok(Some(id)),
        Err(Error::NoSuch { .. }) => Ok(None),
        // A new project.
        Err(Error::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn hand_in(
    path: &Path,
    target: &Target,
    client: &Client,
    bar: &ProgressBar,
) -> Result<Report, Error> {
    let unreadable = |source: io::Error| Error::Unreadable {
        what: "what is to be imported,",
        path: path.to_owned(),
        remedy: "name a file or folder that you can read",
        source,
    };
    let common = target.common();
    let mut report = Report::default();
    let mut batch = Batch::default();
    for (count, entry) in folder::entries(path).map_err(unreadable)?.enumerate() {
        if count >= FILES_MAX {
            return Err(Error::Failed(format!(
                "{} has more than {FILES_MAX} files; import its folders one by one",
                path.display()
            )));
        }
        let document = match entry {
            Entry::Document(document) => document,
            Entry::Skipped => {
                report.skipped += 1;
                continue;
            }
            Entry::Unreadable(path, error) => {
                report.problem(path.display().to_string(), error.to_string());
                continue;
            }
        };
        bar.inc_length(1);
        let name = document.path.display().to_string();
        match document.read() {
            Ok(Some(content)) => {
                let mut common = common.clone();
                common["url"] = json!(target.url_of(&document));
                let body = batch::body(&document, content, &common);
                if !batch.takes(&body) {
                    report.take(batch.send(client).await?, bar);
                }
                batch.push(body, name);
            }
            Ok(None) => report.problem(name, "larger than 8 MiB; split it".to_owned()),
            Err(error) => report.problem(name, error.to_string()),
        }
    }
    report.take(batch.send(client).await?, bar);
    Ok(report)
}

impl Report {
    fn problem(&mut self, file: String, why: String) {
        self.problems.push((file, why));
    }

    fn take(&mut self, results: Vec<(String, Value)>, bar: &ProgressBar) {
        bar.inc(results.len() as u64);
        for (name, result) in results {
            match result["error"]["detail"].as_str() {
                Some(why) => self.problem(name, why.to_owned()),
                None => {
                    self.accepted += 1;
                    let source = result["source_id"].as_str().map(str::to_owned);
                    self.source_id = self.source_id.take().or(source);
                }
            }
        }
    }

    fn to_json(&self) -> Value {
        let problems = self.problems.iter();
        json!({
            "source_id": self.source_id,
            "accepted": self.accepted,
            "skipped": self.skipped,
            "refused": self.problems.len(),
            "problems": problems
                .map(|(file, why)| json!({ "file": file, "detail": why }))
                .collect::<Vec<_>>(),
        })
    }

    /// # Errors
    /// When a file could not be imported, with the reasons, or there was none.
    fn check(&self, path: &Path) -> Result<(), Error> {
        if self.problems.is_empty() {
            if self.accepted > 0 {
                return Ok(());
            }
            return Err(Error::Failed(format!(
                "{} has nothing to import: no file ends in .md, .markdown, .txt, .html or .htm",
                path.display()
            )));
        }
        let all = self.problems.len() + self.accepted;
        let mut message = format!("{} of {all} files are not imported:", self.problems.len());
        for (file, why) in self.problems.iter().take(NAMED_MAX) {
            let _ = write!(message, "\n  {file}: {why}");
        }
        if self.problems.len() > NAMED_MAX {
            let _ = write!(message, "\n  and {} more", self.problems.len() - NAMED_MAX);
        }
        Err(Error::Failed(message))
    }
}
