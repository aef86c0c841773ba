//! Compiles `/proto` with protox, so that nobody needs `protoc`.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;

const FILES: [&str; 6] = [
    "commandcenter/events/v1/events.proto",
    "commandcenter/hub/v1/hub.proto",
    "commandcenter/ingestion/v1/ingestion.proto",
    "commandcenter/jobs/v1/jobs.proto",
    "commandcenter/knowledge/v1/knowledge.proto",
    "commandcenter/orchestrator/v1/orchestrator.proto",
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
    tonic_prost_build::configure()
        .btree_map(".commandcenter.orchestrator")
        .compile_fds(descriptors)?;
    Ok(())
}
