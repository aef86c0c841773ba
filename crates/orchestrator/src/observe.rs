//! Looks at everything in Docker that carries a project's labels.

use futures::future::try_join_all;

use crate::docker::{Client, Error};
use crate::naming::Naming;
use crate::observed::Observed;

/// A project's objects as they are now.
///
/// # Errors
/// When the Engine does not answer; half a look is none.
pub async fn observe(docker: &Client, naming: &Naming) -> Result<Observed, Error> {
    docker.reach().await?;
    let labels = naming.labels();
    let (ids, networks, volumes) = futures::try_join!(
        docker.containers(&labels),
        docker.networks(&labels),
        docker.volumes(&labels)
    )?;
    let containers = try_join_all(ids.iter().map(|id| docker.container(id))).await?;
    // One that went between the list and the look is gone.
    let containers = containers.into_iter().flatten().map(|(container, _)| container).collect();
    Ok(Observed { containers, networks, volumes })
}
