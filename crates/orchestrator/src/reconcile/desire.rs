//! What shall be, put together from the table, the images that are here and the addresses that are
//! free.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use prost::Message as _;
use proto::orchestrator::v1;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::db;
use crate::db::stack::Stack as Row;
use crate::docker::Error;
use crate::plan::{Desired, Pinned};
use crate::spec::{self, Service, Stack, User};
use crate::subnet;

/// What the reconciler knows of the wish besides the row itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) images: BTreeMap<String, String>,
    pub(super) subnets: BTreeMap<String, Ipv4Net>,
}

/// The stack of a row.
pub(super) fn stack(row: &Row) -> anyhow::Result<Stack> {
    let wire = v1::StackSpec::decode(row.spec.as_slice())?;
    // It was checked when it came; the administrator may have become stricter since.
    Ok(spec::read(wire, &spec::Limits::widest())?)
}

/// Puts the wish together.
pub(super) fn desired(
    row: &Row,
    stack: &Stack,
    known: &Known,
    secrets: &BTreeMap<String, u32>,
    user: User,
) -> Desired {
    let pin = |service: &Service| {
        let image = known.images.get(&service.name)?.clone();
        let hash = hash(service, stack, &image, secrets, user);
        let restart_after = row.restart_after.get(&service.name).copied();
        Some((service.name.clone(), Pinned { image, hash, restart_after }))
    };
    Desired {
        project: row.project_id,
        generation: u64::try_from(row.generation).unwrap_or(0),
        wish: row.wish(),
        wished_at: row.wished_at,
        pinned: stack.services.values().filter_map(pin).collect(),
        stack: stack.clone(),
        subnets: known.subnets.clone(),
    }
}

/// Of the container: the service, who it is, and what its networks are like.
fn hash(
    service: &Service,
    stack: &Stack,
    image: &str,
    secrets: &BTreeMap<String, u32>,
    user: User,
) -> String {
    let mut effective = service.clone();
    effective.hardening.user.get_or_insert(user);
    let mut sha = Sha256::new();
    sha.update(spec::hash(&effective, &stack.configs, image, secrets));
    for attachment in &service.networks {
        let internal = stack.networks.get(&attachment.network).is_some_and(|it| it.internal);
        sha.update([u8::from(internal)]);
    }
    hex::encode(sha.finalize())
}

/// Finds what images the services' names stand for, unless that was found before.
pub(super) async fn images(
    app: &App,
    row: &Row,
    stack: &Stack,
) -> Result<BTreeMap<String, String>, Error> {
    let mut images = row.images.0.clone();
    for service in stack.services.values() {
        if !images.contains_key(&service.name)
            && let Some(id) = app.docker.image(&service.image).await?
        {
            images.insert(service.name.clone(), id);
        }
    }
    if images != row.images.0
        && let Err(error) = db::within(db::stack::pin(&app.pool, row, &images)).await
    {
        tracing::warn!(error = %error, project.id = %row.project_id, "images cannot be noted");
    }
    Ok(images)
}

/// Gives every network of the stack a subnet.
pub(super) async fn subnets(
    app: &App,
    row: &Row,
    stack: &Stack,
) -> anyhow::Result<BTreeMap<String, Ipv4Net>> {
    let pool = app.config.pool()?;
    let docker = app.docker.subnets().await?;
    let routes = tokio::fs::read_to_string("/proc/net/route").await.unwrap_or_default();
    let routes = subnet::routes(&routes);
    let members = |network: &str| {
        let attached = |it: &&Service| it.networks.iter().any(|it| it.network == network);
        stack.services.values().filter(attached).count()
    };
    let choose = |network: &str, taken: &[Ipv4Net]| {
        subnet::choose(pool, subnet::prefix(members(network)), &[taken, &docker, &routes])
    };
    let names = stack.networks.keys();
    let chosen = db::subnet::ensure(&app.pool, row.project_id, names, choose);
    Ok(db::within(chosen).await?)
}
