//! `source run`: a fetch now, and on request the wait for all that it leads to.

use serde_json::{Value, json};

use super::{STARTED, Which};
use crate::{
    cli::{Context, wait},
    error::Error,
    output::Columns,
};

const FINISHED: Columns = &[
    ("JOB", "/job_id"),
    ("STATE", "/state"),
    ("JOBS", "/jobs"),
    ("FOUND", "/run/found"),
    ("NEW", "/run/created"),
    ("REVISED", "/run/revised"),
    ("UNCHANGED", "/run/unchanged"),
];

/// Fetch a source now.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    wait: wait::Wait,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let id = args.which.id(client).await?;
    let run = ["sources", &id, "run"];
    let Some(limit) = args.wait.limit() else {
        return output.object(&client.act(&run).await?, STARTED);
    };
    let before = wait::dead_jobs(client, &id).await?;
    let mut started = client.act(&run).await?;
    let settled = wait::until_settled(context, &id, &before, limit).await?;
    let job = started["job_id"].as_str().unwrap_or_default().to_owned();
    let state = client.get(&["jobs", &job], &[]).await?["state"].clone();
    started["run"] = run_of(context, &id, &job).await?;
    started["state"] = if settled.dead.is_empty() { state.clone() } else { json!("dead") };
    started["jobs"] = json!(settled.count);
    started["dead"] = json!(settled.dead);
    output.object(&started, FINISHED)?;
    settled.check()?;
    match state.as_str() {
        Some("done") => Ok(()),
        _ => Err(Error::Failed(format!(
            "the run's job {job} is {}; `commandcenter job show {job}` says more",
            state.as_str().unwrap_or("gone")
        ))),
    }
}

/// What the run of a job found; null when it is not kept.
async fn run_of(context: &Context, source: &str, job: &str) -> Result<Value, Error> {
    let runs = context.client.get(&["sources", source, "runs"], &[]).await?;
    let items = runs["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items.iter().find(|run| run["job_id"] == job).cloned().unwrap_or_default())
}
