//! `hardening` and `scan`: what protects a project's containers, and what is wrong with their
//! images.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    cli::{Context, stack::Of},
    error::Error,
    output::{Columns, clean, table},
};

/// How long a scan may take unless --timeout says so.
const SCAN_TIMEOUT: Duration = Duration::from_secs(900);

const VERDICTS: Columns = &[
    ("SERVICE", "/service"),
    ("VERDICT", "/verdict"),
    ("CRITICAL", "/critical"),
    ("HIGH", "/high"),
    ("MEDIUM", "/medium"),
    ("LOW", "/low"),
    ("SCANNED", "/scanned_at"),
    ("DATABASE OF", "/database_updated_at"),
    ("IMAGE", "/image"),
    ("MESSAGE", "/message"),
];

/// Which images to scan.
#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    of: Of,
    /// Only the image of this service.
    #[arg(long, conflicts_with = "last")]
    service: Option<String>,
    /// Show the last verdicts instead.
    #[arg(long)]
    last: bool,
}

/// Shows the effective state of each container.
pub(crate) async fn hardening(of: Of, context: &Context) -> Result<(), Error> {
    let answer = context.client.get(&["projects", &of.project, "hardening"], &[]).await?;
    context.output.data(&answer, |answer| {
        let services = answer["services"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = services.iter().flat_map(|service| {
            let name = text(service, "service");
            let checks = service["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
            checks.iter().map(move |check| {
                [
                    name.clone(),
                    text(check, "name"),
                    text(check, "wanted"),
                    text(check, "found"),
                    text(check, "verdict"),
                ]
            })
        });
        table(["SERVICE", "CHECK", "WANTED", "FOUND", "VERDICT"], lines)
    })
}

/// Scans images, or shows what was found last.
pub(crate) async fn scan(args: Scan, context: &Context) -> Result<(), Error> {
    let path = ["projects", &args.of.project, "scans"];
    let answer = if args.last {
        context.client.get(&path, &[]).await?
    } else {
        let patient = context.client.with_timeout(context.patience.unwrap_or(SCAN_TIMEOUT));
        let service = args.service.unwrap_or_default();
        patient.post(&path, &json!({ "service": service })).await?
    };
    context.output.items(&answer, "verdicts", VERDICTS)
}

fn text(value: &Value, field: &str) -> String {
    clean(value[field].as_str().unwrap_or_default())
}
