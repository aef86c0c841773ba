//! What the scan policy says of each service now. Scans go on elsewhere: nothing waits here.

use std::collections::BTreeMap;

use chrono::Utc;

use crate::app::App;
use crate::scan::{Gate, Policy, decide};
use crate::spec::{ScanPolicy, Stack};

/// By service; those that say nothing are not here. `images` are ids by service.
pub(super) fn gates(
    app: &App,
    stack: &Stack,
    images: &BTreeMap<String, String>,
) -> BTreeMap<String, Gate> {
    let database_age_max = app.config.scan.database_age_max();
    let scanned = stack.services.values().filter(|it| it.scan.policy != ScanPolicy::Off);
    let gates = scanned.filter_map(|service| {
        let verdict = app.scanner.verdict(images.get(&service.name)?);
        let policy = Policy { scan: service.scan, database_age_max };
        Some((service.name.clone(), decide(policy, verdict.as_ref(), Utc::now())))
    });
    gates.filter(|(_, gate)| *gate != Gate::Open).collect()
}
