//! `stack status`: how a stack and each of its services do.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    cli::Context,
    client::Live,
    error::Error,
    output::{Columns, clean, clean_lines, rows},
};

const COLUMNS: Columns = &[
    ("SERVICE", "/name"),
    ("STATUS", "/status"),
    ("REASON", "/reason"),
    ("RESTARTS", "/restarts"),
    ("STARTED", "/started_at"),
    ("PUBLISHED", "/published"),
    ("IMAGE", "/image"),
];

/// Shows it once.
pub(super) async fn show(project: &str, context: &Context) -> Result<(), Error> {
    let health = context.client.get(&["projects", project, "health"], &[]).await?;
    context.output.data(&health, |health| told(project, health))
}

/// Shows it now and with each change.
pub(super) async fn watch(project: &str, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let path = ["projects", project, "health", "events"];
    let mut live = Live::new(client, &path, Vec::new(), Vec::new());
    loop {
        let event = live.next().await?;
        let Ok(health) = serde_json::from_str::<Value>(&event.data) else { continue };
        if output.is_for_people() {
            output.screen(&told(project, &health))?;
        } else {
            output.line(&health.to_string())?;
        }
    }
}

/// For people: the whole, each service, and what is known of those that are not well.
fn told(project: &str, health: &Value) -> String {
    let text = |value: &Value, field: &str| clean(value[field].as_str().unwrap_or_default());
    let services = health["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut told = format!("{} is {}", clean(project), text(health, "status"));
    if !text(health, "reason").is_empty() {
        let _ = write!(told, ": {}", text(health, "reason"));
    }
    if !services.is_empty() {
        let _ = write!(told, "\n\n{}", rows(services, COLUMNS));
    }
    for service in services.iter().filter(|it| !text(it, "message").is_empty()) {
        let _ = write!(told, "\n\n{}: {}", text(service, "name"), text(service, "message"));
        let probes = service["probes"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(probe) = probes.iter().find(|it| it["verdict"] == "failure") {
            let output = clean_lines(probe["output"].as_str().unwrap_or_default().trim());
            let _ = write!(told, "\n  the {} probe said: {output}", text(probe, "probe"));
        }
        if !text(service, "hint").is_empty() {
            let _ = write!(told, "\n  {}", text(service, "hint"));
        }
    }
    told
}
