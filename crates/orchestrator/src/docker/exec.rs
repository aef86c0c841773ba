//! Commands in containers.

use std::time::Duration;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::StreamExt as _;

use super::{CALL_TIMEOUT, Client, Error};

/// A command that was started in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The Engine's id of it.
    pub id: String,
    /// `None`: it has not ended in time, and goes on.
    pub exit_code: Option<i64>,
    /// What it printed on both streams, as far as it is kept.
    pub output: String,
}

impl Client {
    /// Runs a command as the container's user, for as long as `timeout`. The Engine has no way to
    /// end one that takes longer.
    ///
    /// # Errors
    /// When it cannot be started, such as in a container that does not run or is paused.
    pub async fn execute(
        &self,
        container: &str,
        command: &[String],
        output_bytes_max: usize,
        timeout: Duration,
    ) -> Result<Executed, Error> {
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..ExecConfig::default()
        };
        let made = self
            .call("create exec", CALL_TIMEOUT, async |it| it.create_exec(container, config).await);
        let id = made.await?.id;
        let started = self.call("start exec", CALL_TIMEOUT, async |it| {
            it.start_exec(&id, None::<StartExecOptions>).await
        });
        let mut output = Vec::new();
        if let StartExecResults::Attached { output: mut stream, .. } = started.await? {
            let read = async {
                while let Some(Ok(part)) = stream.next().await {
                    let left = output_bytes_max.saturating_sub(output.len());
                    let part = part.into_bytes();
                    output.extend_from_slice(&part[..part.len().min(left)]);
                }
            };
            // What was printed until then is worth showing; whether it ended is asked below.
            tokio::time::timeout(timeout, read).await.ok();
        }
        let exit_code = self.exit_code(&id).await?;
        Ok(Executed { id, exit_code, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Whether a command has not ended yet.
    ///
    /// # Errors
    /// Not found once its container is gone; see [`Error`].
    pub async fn is_executing(&self, id: &str) -> Result<bool, Error> {
        Ok(self.exit_code(id).await?.is_none())
    }

    async fn exit_code(&self, id: &str) -> Result<Option<i64>, Error> {
        let asked =
            self.call("inspect exec", CALL_TIMEOUT, async |it| it.inspect_exec(id).await).await?;
        Ok(asked.exit_code.filter(|_| asked.running != Some(true)))
    }
}
