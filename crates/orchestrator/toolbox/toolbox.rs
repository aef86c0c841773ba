//! The one program of the helper image: what needs a place inside the Engine, done in short-lived
//! containers, so that the orchestrator itself needs only the Engine's socket.
//!
//! - `toolbox wait SECONDS` holds what is mounted until it is removed, or the time is over.
//! - `toolbox filter keep PREFIX` keeps containers on bridges of such names away from the host, and
//!   `toolbox filter remove PREFIX` no longer.
//! - `toolbox proc PID...` tells what the kernel says of these processes.
//!
//! Compiled by `build.rs`, static and without anything but the standard library.

mod filter;
mod proc;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["wait", seconds] => match seconds.parse() {
            Ok(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
            Err(_) => return refuse("wait needs a whole number of seconds"),
        },
        ["proc", pids @ ..] => proc::tell(pids),
        ["filter", "keep", prefix] => filter::keep(prefix),
        ["filter", "remove", prefix] => filter::remove(prefix),
        _ => return refuse("toolbox knows: wait SECONDS, proc PID..., filter keep|remove PREFIX"),
    }
    ExitCode::SUCCESS
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(64)
}
