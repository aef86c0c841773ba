//! Images: which one a name stands for, and what is in it.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::{CALL_TIMEOUT, Client, Error};

const SAVE: &str = "save image";

impl Client {
    /// The Engine's id of the image that a name stands for now; `None` when it is not here.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn image(&self, name: &str) -> Result<Option<String>, Error> {
        let found =
            self.call("inspect image", CALL_TIMEOUT, async |it| it.inspect_image(name).await).await;
        match found {
            Ok(found) => Ok(found.id),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an image into a file as `docker save` does: at most `bytes_max`, within `timeout`.
    ///
    /// # Errors
    /// When it is larger, or the disk refuses; see [`Error`].
    pub async fn save_image(
        &self,
        id: &str,
        path: &Path,
        bytes_max: u64,
        timeout: Duration,
    ) -> Result<(), Error> {
        let docker = self.docker().await?;
        let disk = |error: std::io::Error| {
            Error::malformed(SAVE, format!("{} cannot be written: {error}", path.display()))
        };
        let saved = async {
            let mut file = File::create(path).await.map_err(disk)?;
            let (mut parts, mut bytes) = (pin!(docker.export_image(id)), 0);
            while let Some(part) = parts.next().await {
                let part =
                    part.map_err(|error| Error::from_library(SAVE, &self.inner.socket, error))?;
                bytes += part.len() as u64;
                if bytes > bytes_max {
                    let why = format!("the image is larger than {bytes_max} bytes");
                    return Err(Error::malformed(SAVE, why));
                }
                file.write_all(&part).await.map_err(disk)?;
            }
            file.flush().await.map_err(disk)
        };
        let late = Error::Timeout { what: SAVE, after: timeout };
        tokio::time::timeout(timeout, saved).await.unwrap_or(Err(late))
    }
}
