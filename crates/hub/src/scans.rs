//! What is known of the images of a stack's services.

use chrono::{DateTime, Utc};
use proto::{Failure, orchestrator::v1 as wire, time::from_wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::{self, Act},
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects,
};

/// What to scan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scan {
    /// The service whose image it is; empty: all.
    pub(crate) service: String,
}

/// What a scanner has said of an image, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// The service whose image it is.
    pub(crate) service: String,
    /// The image as the spec names it.
    pub(crate) image: String,
    /// The digest that the verdict is about.
    pub(crate) digest: String,
    /// `clean`, `findings`, `stale` or `unknown`; only `clean` is a pass.
    pub(crate) verdict: String,
    /// Findings of this severity.
    pub(crate) critical: u32,
    /// Findings of this severity.
    pub(crate) high: u32,
    /// Findings of this severity.
    pub(crate) medium: u32,
    /// Findings of this severity.
    pub(crate) low: u32,
    /// When it was scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scanned_at: Option<DateTime<Utc>>,
    /// How old the scanner's knowledge was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_updated_at: Option<DateTime<Utc>>,
    /// Why there is no better verdict.
    pub(crate) message: String,
}

impl From<wire::Verdict> for Verdict {
    fn from(verdict: wire::Verdict) -> Self {
        Self {
            scanned_at: verdict.scanned_at.as_ref().and_then(from_wire),
            database_updated_at: verdict.database_updated_at.as_ref().and_then(from_wire),
            service: verdict.service,
            image: verdict.image,
            digest: verdict.digest,
            verdict: verdict.verdict,
            critical: verdict.critical,
            high: verdict.high,
            medium: verdict.medium,
            low: verdict.low,
            message: verdict.message,
        }
    }
}

/// The last verdicts of a project.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    project: &str,
) -> Result<Vec<Verdict>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::ListVerdictsRequest { project_id };
    let answer = app.clients.scans(who)?.list_verdicts(request).await;
    let verdicts = answer.map_err(refused(ORCHESTRATOR))?.into_inner().verdicts;
    Ok(verdicts.into_iter().map(Verdict::from).collect())
}

/// Scans the image of one service, or of all.
pub(crate) async fn scan(
    app: &App,
    who: &Identity,
    project: &str,
    scan: Scan,
) -> Result<Vec<Verdict>, Failure> {
    let target = projects::changeable(app, who, project).await?;
    let project_id = target.id.to_string();
    let request = wire::ScanImagesRequest { project_id, service: scan.service.clone() };
    let answer = app.clients.scans(who)?.scan_images(request).await;
    let verdicts = answer.map_err(refused(ORCHESTRATOR))?.into_inner().verdicts;
    let act = Act::new("image.scan", &target.slug, &scan.service).of(Some(target.id));
    audit::record_done(app, who, act).await;
    Ok(verdicts.into_iter().map(Verdict::from).collect())
}
