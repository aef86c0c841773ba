//! Images: which one a name stands for.

use super::{CALL_TIMEOUT, Client, Error};

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
}
