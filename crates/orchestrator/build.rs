//! Compiles the helper image's one program, static, so that it runs in an image without anything
//! else. It is embedded: whoever has the orchestrator has its helpers.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "toolbox";

#[expect(clippy::disallowed_methods, reason = "cargo tells build scripts where to write this way")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={FOLDER}");
    let program = Path::new(&env::var("OUT_DIR")?).join("toolbox");
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.args([
        "toolbox/toolbox.rs",
        "--crate-name",
        "toolbox",
        "--edition",
        "2024",
        "-F",
        "unsafe_code",
    ]);
    rustc.args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols"]);
    rustc.args(["-C", "target-feature=+crt-static", "--target", &env::var("TARGET")?]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.arg("-o").arg(&program).status()?;
    if !status.success() {
        return Err("toolbox cannot be compiled: the C library's static form may be missing".into());
    }
    Ok(())
}
