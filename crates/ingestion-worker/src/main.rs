//! The ingestion worker as a process of its own.

mod standalone;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let loaded = chassis::config::load(&chassis::config::Layers::of_process(vec![], vec![]))?;
    standalone::run(loaded.config).await
}
