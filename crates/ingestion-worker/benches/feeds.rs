//! How many megabytes of feeds are parsed in a second: `COMMANDCENTER_CORPORA=… cargo bench -p
//! ingestion-worker --bench feeds`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ingestion_worker::feed;

/// How long the measurement takes at least.
const MEASURED: Duration = Duration::from_secs(3);

fn main() {
    let Some(root) = std::env::var_os("COMMANDCENTER_CORPORA").map(PathBuf::from) else {
        println!("COMMANDCENTER_CORPORA is not set: nothing to measure");
        return;
    };
    for part in ["feedparser", "feed-rs", "miniflux"] {
        let mut feeds = Vec::new();
        let mut folders = vec![root.join("feeds").join(part)];
        while let Some(folder) = folders.pop() {
            for item in std::fs::read_dir(folder).expect("the corpus can be read") {
                let path = item.expect("the corpus can be read").path();
                match path.extension().and_then(|ending| ending.to_str()) {
                    None if path.is_dir() => folders.push(path),
                    Some("xml") => feeds.push(std::fs::read(path).expect("it can be read")),
                    _ => {}
                }
            }
        }
        let bytes: usize = feeds.iter().map(Vec::len).sum();
        let (started, mut rounds) = (Instant::now(), 0);
        while started.elapsed() < MEASURED {
            for body in &feeds {
                let _ = black_box(feed::parse(black_box(body), None, None));
            }
            rounds += 1;
        }
        let rate = (bytes * rounds) as f64 / started.elapsed().as_secs_f64() / 1e6;
        println!("{part}: {} files, {bytes} bytes, {rate:.1} MB/s", feeds.len());
    }
}
