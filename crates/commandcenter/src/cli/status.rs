//! `status`: how every service does.

use serde_json::Value;

use crate::{
    cli::Context,
    error::Error,
    output::{Columns, rows},
};

const COLUMNS: Columns = &[
    ("SERVICE", "/name"),
    ("STATE", "/state"),
    ("SINCE", "/since"),
    ("RESTARTS", "/restarts"),
    ("REASON", "/reason"),
];

pub(crate) async fn run(context: &Context) -> Result<(), Error> {
    let status = context.client.get(&["status"], &[]).await?;
    let services = services(&status);
    context.output.data(&status, |_| rows(services, COLUMNS))?;
    if services.is_empty() {
        return Err(Error::Failed("no service has started yet; try again shortly".to_owned()));
    }
    let waiting = services.iter().filter(|service| service["state"] != "ready");
    let waiting: Vec<&str> = waiting.filter_map(|service| service["name"].as_str()).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let names = waiting.join(", ");
    Err(Error::Failed(format!("not ready: {names}; `commandcenter doctor` says what to do")))
}

/// The services of a status.
pub(crate) fn services(status: &Value) -> &[Value] {
    status["services"].as_array().map(Vec::as_slice).unwrap_or_default()
}
