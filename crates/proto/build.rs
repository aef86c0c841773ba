//! Compiles `/proto` with protox, so that nobody needs `protoc`.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use tonic_prost_build::Builder;

const FILES: [&str; 6] = [
    "commandcenter/events/v1/events.proto",
    "commandcenter/hub/v1/hub.proto",
    "commandcenter/ingestion/v1/ingestion.proto",
    "commandcenter/jobs/v1/jobs.proto",
    "commandcenter/knowledge/v1/knowledge.proto",
    "commandcenter/orchestrator/v1/orchestrator.proto",
];

/// The messages of a spec, which are JSON too: in the REST API, and for a person to read.
const SPEC: [&str; 23] = [
    "StackSpec",
    "ServiceSpec",
    "SecretMount",
    "ConfigSpec",
    "ConfigMount",
    "NetworkSpec",
    "NetworkAttachment",
    "VolumeSpec",
    "Port",
    "Mount",
    "Dependency",
    "Resources",
    "Hardening",
    "Probes",
    "Probe",
    "ExecProbe",
    "HttpProbe",
    "TcpProbe",
    "PostgresProbe",
    "RedisProbe",
    "Restart",
    "Stop",
    "ScanPolicy",
];

/// Their fields that JSON has no form of its own for, each with the module that gives it one.
const FORMS: [(&str, &str); 5] = [
    ("Probe.period", "crate::json::length"),
    ("Probe.timeout", "crate::json::length"),
    ("Probe.deadline", "crate::json::length"),
    ("Stop.grace", "crate::json::length"),
    ("ConfigSpec.content", "crate::json::bytes"),
];

#[expect(clippy::disallowed_methods, reason = "cargo tells build scripts where to write this way")]
fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES.map(|file| root.join(file)), [root])?;
    // Reflection serves exactly what was compiled.
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Maps keep their order, so that the same spec always has the same bytes and the same hash.
    let builder = tonic_prost_build::configure().btree_map(".commandcenter.orchestrator");
    // Its own `Debug`, in `secret.rs`, does not show the value.
    let builder = builder.skip_debug([".commandcenter.orchestrator.v1.PutSecretRequest"]);
    with_json(builder).compile_fds(descriptors)?;
    Ok(())
}

fn with_json(mut builder: Builder) -> Builder {
    const PACKAGE: &str = ".commandcenter.orchestrator.v1";
    const DERIVE: &str = "#[derive(serde::Serialize, serde::Deserialize)]";
    for message in SPEC {
        builder =
            builder.message_attribute(format!("{PACKAGE}.{message}"), DERIVE).message_attribute(
                format!("{PACKAGE}.{message}"),
                "#[serde(default, deny_unknown_fields)]",
            );
    }
    for (field, module) in FORMS {
        let with = format!("#[serde(with = \"{module}\")]");
        builder = builder.field_attribute(format!("{PACKAGE}.{field}"), with);
    }
    let kind = format!("{PACKAGE}.Probe.kind");
    builder
        .enum_attribute(&kind, DERIVE)
        .enum_attribute(&kind, "#[serde(rename_all = \"snake_case\")]")
}
