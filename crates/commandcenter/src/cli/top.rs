//! `top`: what the services of a stack use, against their limits.

use std::time::Duration;

use indicatif::BinaryBytes;
use serde_json::Value;

use crate::{
    cli::{Context, stack::Of},
    error::Error,
    output::{clean, table},
};

/// How often it is shown again on a terminal; the service measures every few seconds.
const INTERVAL: Duration = Duration::from_secs(2);

const HEADER: [&str; 9] =
    ["SERVICE", "CPU", "MEMORY", "PEAK", "PIDS", "RECEIVED", "SENT", "READ/WRITTEN", "OOM KILLS"];

/// Show what services use, against their limits: on a terminal again and again, until Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
    /// Show it once.
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    let path = ["projects", &args.of.project, "resources"];
    let again = !args.once && output.is_for_people() && console::Term::stdout().is_term();
    if !again {
        return output.data(&client.get(&path, &[]).await?, shown);
    }
    loop {
        output.screen(&shown(&client.get(&path, &[]).await?))?;
        tokio::time::sleep(INTERVAL).await;
    }
}

fn shown(resources: &Value) -> String {
    let services = resources["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    table(HEADER, services.iter().map(line))
}

fn line(service: &Value) -> [String; 9] {
    let number = |field: &str| service[field].as_u64().unwrap_or_default();
    let bytes = |field: &str| BinaryBytes(number(field)).to_string();
    let cpu = service["cpu_millis"].as_f64().unwrap_or_default();
    let name = clean(service["name"].as_str().unwrap_or_default());
    // What does not run has no reading.
    if service["at"].is_null() {
        return std::array::from_fn(
            |column| if column == 0 { name.clone() } else { "-".to_owned() },
        );
    }
    [
        name,
        format!("{:.2} / {:.2}", cpu / 1_000.0, number("cpu_limit_millis") as f64 / 1_000.0),
        of(&bytes("memory_bytes"), number("memory_bytes"), number("memory_limit_bytes")),
        bytes("memory_peak_bytes"),
        format!("{} / {}", number("pids"), number("pids_limit")),
        bytes("network_received_bytes"),
        bytes("network_sent_bytes"),
        format!("{} / {}", bytes("disk_read_bytes"), bytes("disk_written_bytes")),
        number("oom_kills").to_string(),
    ]
}

fn of(shown: &str, used: u64, limit: u64) -> String {
    if limit == 0 {
        return shown.to_owned();
    }
    let percent = used as f64 * 100.0 / limit as f64;
    format!("{shown} / {} ({percent:.0} %)", BinaryBytes(limit))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_stands_beside_its_limit() {
        let service = json!({
            "name": "web", "at": "2026-01-02T03:04:05Z", "cpu_millis": 250.4,
            "cpu_limit_millis": 500, "memory_bytes": 64 << 20, "memory_peak_bytes": 96 << 20,
            "memory_limit_bytes": 256 << 20, "pids": 3, "pids_limit": 256,
        });
        let line = line(&service);
        assert_eq!(line[1], "0.25 / 0.50");
        assert_eq!(line[2], "64.00 MiB / 256.00 MiB (25 %)");
        assert_eq!(line[4], "3 / 256");
        assert_eq!(super::line(&json!({"name": "web"}))[1..3], ["-", "-"]);
    }
}
