//! What callers ask of image scans.

use std::sync::Arc;
use std::time::Duration;

use chassis::caller::{Caller, Role};
use chrono::Utc;
use database::failure;
use proto::orchestrator::v1;
use proto::time::to_wire;
use proto::{Failure, ProjectId, Reason};
use tokio::time::{Instant, timeout_at};

use super::stacks::{find, permit};
use crate::app::App;
use crate::db;
use crate::scan::{Scanned, Word};
use crate::spec::Service;

/// How long a caller waits for scans; those that take longer go on.
const SCAN_PATIENCE: Duration = Duration::from_secs(25);

pub(super) async fn scan(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ScanImagesRequest,
) -> Result<v1::ScanImagesResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let services = services(app, project, &request.service).await?;
    let (mut scans, begin) = (app.scanner.scans(), Utc::now());
    for (_, image) in services.iter().filter(|it| !it.1.is_empty()) {
        app.scanner.scan(image);
    }
    let deadline = Instant::now() + SCAN_PATIENCE;
    let wanted = |app: &App| services.iter().any(|(_, image)| app.scanner.is_wanted(image));
    while wanted(app) && timeout_at(deadline, scans.changed()).await.is_ok() {}
    let mut verdicts = Vec::with_capacity(services.len());
    for (service, image) in services {
        let mut verdict = verdict(app, &service, &image).await?;
        let at = verdict.scanned_at.as_ref().and_then(proto::time::from_wire);
        if !image.is_empty() && at.is_none_or(|at| at < begin) {
            verdict.message = "the scan goes on; look at the verdicts later".to_owned();
        }
        verdicts.push(verdict);
    }
    Ok(v1::ScanImagesResponse { verdicts })
}

pub(super) async fn list(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ListVerdictsRequest,
) -> Result<v1::ListVerdictsResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let mut verdicts = Vec::new();
    for (service, image) in services(app, project, "").await? {
        verdicts.push(verdict(app, &service, &image).await?);
    }
    Ok(v1::ListVerdictsResponse { verdicts })
}

/// The services of a stack, or one of them, with the ids of their images; empty: it is not here.
async fn services(
    app: &App,
    project: ProjectId,
    only: &str,
) -> Result<Vec<(Service, String)>, Failure> {
    let (row, stack) = find(app, project).await?;
    if !only.is_empty() && !stack.services.contains_key(only) {
        return Err(Failure::not_found("service", only));
    }
    let mut found = Vec::new();
    for service in stack.services.into_values().filter(|it| only.is_empty() || it.name == only) {
        let image = match row.images.get(&service.name) {
            Some(image) => image.clone(),
            None => app.docker.image(&service.image).await.map_err(away)?.unwrap_or_default(),
        };
        found.push((service, image));
    }
    Ok(found)
}

fn away(error: crate::docker::Error) -> Failure {
    Failure::new(Reason::Unavailable, error.to_string()).retry_after(Duration::from_secs(5))
}

async fn verdict(app: &App, service: &Service, image: &str) -> Result<v1::Verdict, Failure> {
    let known = match app.scanner.last(image) {
        Some(known) => Some(known),
        None => db::verdict::get(&app.pool, image).await.map_err(failure)?,
    };
    let mut verdict = v1::Verdict {
        service: service.name.clone(),
        image: service.image.clone(),
        digest: image.to_owned(),
        verdict: Word::Unknown.as_str().to_owned(),
        ..v1::Verdict::default()
    };
    match known {
        _ if image.is_empty() => {
            "the image is not on the daemon's host".clone_into(&mut verdict.message)
        }
        None => "the image was not scanned yet".clone_into(&mut verdict.message),
        Some(scanned) => fill(&mut verdict, scanned, service, app),
    }
    Ok(verdict)
}

fn fill(verdict: &mut v1::Verdict, scanned: Scanned, service: &Service, app: &App) {
    let age_max = app.config.scan.database_age_max();
    let word = scanned.word(service.scan.severity, Utc::now(), age_max);
    word.as_str().clone_into(&mut verdict.verdict);
    verdict.scanned_at = Some(to_wire(scanned.at));
    match scanned.result {
        Ok(found) => {
            let counts = found.counts;
            (verdict.critical, verdict.high) = (counts.critical, counts.high);
            (verdict.medium, verdict.low) = (counts.medium, counts.low);
            verdict.database_updated_at = Some(to_wire(found.database_updated_at));
            verdict.message = found.note;
        }
        Err(why) => verdict.message = why,
    }
}
