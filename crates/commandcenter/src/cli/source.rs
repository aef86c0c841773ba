//! `source`: where documents come from.

mod credential;
mod run;
mod settings;
mod test;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use settings::priority;

use crate::{cli::Context, client::Client, error::Error, output::Columns};
use settings::{Settings, set};

/// Sources that are looked through for a name.
const SOURCES_MAX: usize = 10_000;

const COLUMNS: Columns = &[
    ("NAME", "/name"),
    ("PROJECT", "/project"),
    ("KIND", "/kind"),
    ("PRIORITY", "/priority"),
    ("SCHEDULE", "/schedule"),
    ("FRESHNESS", "/freshness"),
    ("NEXT RUN", "/next_run_at"),
    ("ID", "/id"),
];

const DETAILS: Columns = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PROJECT", "/project"),
    ("KIND", "/kind"),
    ("URL", "/url"),
    ("PRIORITY", "/priority"),
    ("SCHEDULE", "/schedule_text"),
    ("NEXT RUNS", "/next_runs"),
    ("CREDENTIAL", "/credential"),
    ("FRESHNESS", "/freshness"),
    ("PAUSED", "/paused"),
    ("LAST ERROR", "/last_error"),
];

const STARTED: Columns = &[("JOB", "/job_id")];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a source.
    #[command(after_help = "Example: commandcenter source add feed https://example.org/feed.xml \
                            --project web --schedule '*/15 * * * *' --priority 7")]
    Add(Box<Add>),
    /// List sources.
    List {
        /// Only this project; may be given several times.
        #[arg(short, long)]
        project: Vec<String>,
        /// Only this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Only those that are fresh, overdue, failing, held, paused or new.
        #[arg(long)]
        freshness: Option<String>,
        /// How many at most.
        #[arg(
            short, long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
    },
    /// Change a source; what is not named stays.
    Edit(Box<Edit>),
    /// Stop a source from running by itself.
    Pause(Which),
    /// Let a paused source run by itself again.
    Resume(Which),
    /// Fetch a source now.
    Run(run::Args),
    /// Remove a source with its documents.
    Remove {
        #[command(flatten)]
        which: Which,
        /// Do not ask, which a terminal otherwise does.
        #[arg(short, long)]
        yes: bool,
    },
    /// Fetch and read a source once without storing anything.
    Test(test::Args),
}

/// Which source is meant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The source's id or name.
    #[arg(value_name = "SOURCE")]
    key: String,
    /// The project in which the name is looked for.
    #[arg(short, long)]
    project: Option<String>,
}

impl Which {
    async fn id(&self, client: &Client) -> Result<String, Error> {
        id_of(client, &self.key, self.project.as_deref()).await
    }
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The kind of source: feed or manual.
    kind: String,
    /// What to fetch.
    url: Option<String>,
    /// The project, by slug or id; a new one is made.
    #[arg(short, long)]
    project: String,
    /// Add it paused.
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    which: Which,
    /// What to fetch.
    #[arg(long = "feed-url", value_name = "URL")]
    url: Option<String>,
    /// Forget the credential.
    #[arg(long, conflicts_with_all = ["basic_password_file", "bearer_file", "api_key_file"])]
    no_credential: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::Add(add) => output.object(&create(*add, client).await?, DETAILS),
        Command::List { project, kind, freshness, limit } => {
            let mut query: Vec<(&str, String)> =
                project.into_iter().map(|project| ("project", project)).collect();
            query.extend(kind.map(|kind| ("kind", kind)));
            query.extend(freshness.map(|freshness| ("freshness", freshness)));
            output.list(&client.list(&["sources"], &query, limit as usize).await?, COLUMNS)
        }
        Command::Edit(edit) => output.object(&change(*edit, client).await?, DETAILS),
        Command::Pause(which) => pause(&which, true, context).await,
        Command::Resume(which) => pause(&which, false, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Remove { which, yes } => remove(&which, yes, context).await,
        Command::Test(args) => test::run(args, context).await,
    }
}

async fn create(add: Add, client: &Client) -> Result<Value, Error> {
    let mut source = add.settings.into_json()?;
    source["kind"] = json!(add.kind);
    source["project"] = json!(add.project);
    source["paused"] = json!(add.paused);
    set(&mut source, "url", add.url);
    client.post(&["sources"], &source).await
}

async fn change(edit: Edit, client: &Client) -> Result<Value, Error> {
    let mut change = edit.settings.into_json()?;
    set(&mut change, "url", edit.url);
    if edit.no_credential {
        change["credential"] = json!({ "kind": "none" });
    }
    if change == json!({}) {
        return Err(Error::Usage("say what to change; --help lists it".to_owned()));
    }
    let id = edit.which.id(client).await?;
    client.patch(&["sources", &id], &change).await
}

async fn pause(which: &Which, paused: bool, context: &Context) -> Result<(), Error> {
    let id = which.id(&context.client).await?;
    let change = json!({ "paused": paused });
    let source = context.client.patch(&["sources", &id], &change).await?;
    context.output.object(&source, DETAILS)
}

async fn remove(which: &Which, yes: bool, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let id = which.id(client).await?;
    // One source that was named is removed without a question where nobody can answer one.
    let yes = yes || !output.is_interactive();
    output.confirm(&format!("Remove {} with all its documents", which.key), yes)?;
    let started = client.delete(&["sources", &id]).await?;
    output.note(format_args!("a job removes {} and its documents now", which.key));
    output.object(&started, STARTED)
}

/// The id of the source with this id, or with this name in the project (in any, when none is
/// given).
pub(crate) async fn id_of(
    client: &Client,
    key: &str,
    project: Option<&str>,
) -> Result<String, Error> {
    if Uuid::parse_str(key).is_ok() {
        return Ok(key.to_owned());
    }
    let query: Vec<_> =
        project.map(|project| ("project", project.to_owned())).into_iter().collect();
    let sources = client.list(&["sources"], &query, SOURCES_MAX).await?;
    let items = sources["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = items.iter().filter(|source| source["name"] == key);
    let ids: Vec<&str> = named.filter_map(|source| source["id"].as_str()).collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Error::NoSuch {
            what: "source",
            name: key.to_owned(),
            remedy: "`commandcenter source list` shows them",
        }),
        ids => Err(Error::Ambiguous {
            what: "sources",
            name: key.to_owned(),
            count: ids.len(),
            ids: ids.join(", "),
        }),
    }
}
