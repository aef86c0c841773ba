//! Dependencies point down, and a service never depends on another service.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Lowest first; a crate may use those on lower layers only.
const LAYERS: [&[&str]; 7] = [
    &["proto", "telemetry"],
    &["chassis"],
    &["bus", "database"],
    &["jobs"],
    &["ingestion-worker", "knowledge", "hub", "orchestrator"],
    &["commandcenter"],
    &["e2e"],
];

/// Hands out URLs and knows no crate of ours.
const TESTKIT: &str = "testkit";

fn members() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(super::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    metadata.packages
}

fn layer(name: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&name))
        .unwrap_or_else(|| panic!("{name} has no layer: add it to LAYERS and to ARCHITECTURE.md"))
}

#[test]
fn dependencies_point_down() {
    let members = members();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for member in &members {
        for dependency in &member.dependencies {
            let to = dependency.name.as_str();
            if !names.contains(to) {
                continue;
            }
            if to == TESTKIT {
                assert_eq!(
                    dependency.kind,
                    DependencyKind::Development,
                    "{} uses testkit outside its tests",
                    member.name
                );
                continue;
            }
            assert_ne!(member.name, TESTKIT, "testkit depends on {to}, but may know none of ours");
            assert!(
                layer(to) < layer(&member.name),
                "{} depends on {to}, which is not below it",
                member.name
            );
        }
    }
}

#[test]
fn every_crate_inherits_lints_and_versions() {
    for member in members() {
        let manifest = std::fs::read_to_string(&member.manifest_path).expect("a manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} does not inherit the lints",
            member.name
        );
        let table: BTreeMap<String, toml::Value> = toml::from_str(&manifest).expect("TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(toml::Value::Table(dependencies)) = table.get(section) else { continue };
            for (name, value) in dependencies {
                assert!(
                    value.get("workspace").is_some(),
                    "{}: {name} states its own version; put it into the workspace's Cargo.toml",
                    member.name
                );
            }
        }
    }
}
