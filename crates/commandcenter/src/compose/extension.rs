//! `x-commandcenter`: what Compose has no words for. It wins over what Compose's own keys say.

use proto::orchestrator::v1;

use super::{field::Field, key, probe, report::Report};

/// Adds what the extension of a service says.
pub(super) fn apply(
    spec: &str,
    field: &Field<'_>,
    service: &mut v1::ServiceSpec,
    report: &mut Report,
) {
    let Some(field) = field.get("x-commandcenter") else { return };
    key::check(&field, key::EXTENSION, report);
    if let Some(field) = field.get("probes") {
        probes(spec, &field, service, report);
    }
    if let Some(field) = field.get("restart") {
        report.origins_of(&format!("{spec}.restart"), &field);
        key::check(&field, key::RESTART, report);
        // What it does not say is still what Compose's own key says.
        let mut restart = service.restart.take().unwrap_or_default();
        if let Some(policy) = field.get("policy") {
            restart.policy = policy.text(report);
        }
        if let Some(attempts) = field.get("attempts") {
            restart.attempts = attempts.positive(report).unwrap_or_default();
        }
        service.restart = Some(restart);
    }
    if let Some(field) = field.get("scan") {
        report.origins_of(&format!("{spec}.scan"), &field);
        key::check(&field, key::SCAN, report);
        let policy = text(&field, "policy", report);
        service.scan = Some(v1::ScanPolicy { policy, severity: text(&field, "severity", report) });
    }
    if let Some(field) = field.get("one_shot") {
        report.origin(format!("{spec}.one_shot"), &field);
        service.one_shot = field.flag(report);
    }
}

fn text(field: &Field<'_>, key: &str, report: &mut Report) -> String {
    field.get(key).map(|it| it.text(report)).unwrap_or_default()
}

fn probes(spec: &str, field: &Field<'_>, service: &mut v1::ServiceSpec, report: &mut Report) {
    report.origins_of(&format!("{spec}.probes"), field);
    let own = probe::probes(field, report);
    let known = service.probes.take().unwrap_or_default();
    service.probes = Some(v1::Probes {
        startup: own.startup.or(known.startup),
        readiness: own.readiness.or(known.readiness),
        liveness: own.liveness.or(known.liveness),
    });
}
