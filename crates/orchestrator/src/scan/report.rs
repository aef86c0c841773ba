//! What Trivy writes: JSON of schema version 2, as its versions from 0.20 on do. Pure.

use serde::Deserialize;

use super::Counts;

/// The schema that is understood.
const SCHEMA: u32 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    schema_version: u32,
    artifact_type: String,
    metadata: Metadata,
    results: Option<Vec<Examined>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ImageID")]
    image_id: String,
    #[serde(rename = "OS")]
    os: Option<Os>,
}

#[derive(Deserialize)]
struct Os {
    #[serde(rename = "Family")]
    family: String,
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "EOSL", default)]
    unsupported: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Examined {
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    fixed_version: String,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Severity {
    #[default]
    Unknown,
    Low,
    Medium,
    High,
    Critical,
}

/// Counts what a report says about the image with this id, and notes what else there is to know.
///
/// # Errors
/// Why it is no proof of anything: it cannot be read, or it is about something else.
pub fn read(report: &[u8], image: &str) -> Result<(Counts, String), String> {
    let report: Report = serde_json::from_slice(report)
        .map_err(|error| format!("Trivy's report cannot be read: {error}"))?;
    if report.schema_version != SCHEMA {
        let version = report.schema_version;
        return Err(format!("Trivy's report has the schema {version}, and {SCHEMA} is needed"));
    }
    if report.artifact_type != "container_image" {
        return Err(format!("Trivy's report is about a {}, not an image", report.artifact_type));
    }
    if report.metadata.image_id != image {
        let other = report.metadata.image_id;
        return Err(format!("Trivy's report is about the image {other}, not {image}"));
    }
    let results = report.results.unwrap_or_default();
    let mut counts = Counts::default();
    for it in results.iter().flat_map(|it| it.vulnerabilities.iter().flatten()) {
        let count = match it.severity {
            Severity::Critical => &mut counts.critical,
            Severity::High => &mut counts.high,
            Severity::Medium => &mut counts.medium,
            // Whoever counts the low ones counts those that nobody has judged, too.
            Severity::Low | Severity::Unknown => &mut counts.low,
        };
        *count = count.saturating_add(1);
        counts.fixable += u32::from(!it.fixed_version.is_empty());
    }
    let note = match report.metadata.os {
        Some(Os { family, name, unsupported: true }) => {
            format!("{family} {name} gets no security updates any more, so little is known of it")
        }
        None if results.is_empty() => "Trivy found no packages to look up".to_owned(),
        _ => String::new(),
    };
    Ok((counts, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../tests/fixtures/trivy/0.29.json");
    const NEW: &str = include_str!("../../tests/fixtures/trivy/0.62.json");
    const CLEAN: &str = include_str!("../../tests/fixtures/trivy/0.62-scratch.json");
    const IMAGE: &str = "sha256:961769676411f082461f9ef46626dd7a2d1e2b2a38e6a44364bcbecf51e66dd4";

    #[test]
    fn reports_of_two_versions_are_counted() {
        let (counts, note) = read(OLD.as_bytes(), IMAGE).expect("it is a report");
        let expected = Counts { critical: 1, high: 1, medium: 2, low: 1, fixable: 4 };
        assert_eq!(counts, expected);
        assert!(note.contains("alpine 3.10.2 gets no security updates"), "{note}");
        let (counts, note) = read(NEW.as_bytes(), IMAGE).expect("it is a report");
        assert_eq!(counts, Counts { critical: 1, high: 1, medium: 0, low: 2, fixable: 2 });
        assert_eq!(note, "");
        let (counts, note) = read(CLEAN.as_bytes(), IMAGE).expect("it is a report");
        assert_eq!(counts, Counts::default());
        assert!(note.contains("no packages"), "{note}");
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let refused = |report: &str, image: &str| read(report.as_bytes(), image).expect_err(report);
        assert!(refused("", IMAGE).contains("cannot be read"));
        assert!(refused("[]", IMAGE).contains("cannot be read"), "schema 1 is a list");
        assert!(refused(&NEW[..NEW.len() / 2], IMAGE).contains("cannot be read"), "cut off");
        assert!(refused(NEW, "sha256:0").contains("not sha256:0"));
        let version = NEW.replacen("\"SchemaVersion\": 2", "\"SchemaVersion\": 3", 1);
        assert!(refused(&version, IMAGE).contains("schema 3"));
        let folder = NEW.replacen("container_image", "filesystem", 1);
        assert!(refused(&folder, IMAGE).contains("not an image"));
        let word = NEW.replacen("\"CRITICAL\"", "\"CATASTROPHIC\"", 1);
        assert!(refused(&word, IMAGE).contains("cannot be read"), "a severity that is not known");
        let bare = NEW.replacen("\"ImageID\"", "\"Image\"", 1);
        assert!(refused(&bare, IMAGE).contains("cannot be read"));
    }
}
