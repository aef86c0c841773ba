//! Resolves names and lets only vetted addresses through to the connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::{fmt, io};

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Reach, is_allowed};

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Turns a host's name into addresses: the network seam that tests replace.
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// What the connection sees of a resolver: the addresses it hands out are the ones connected to,
/// so that there is no time between the check and the use.
pub(super) struct Vetted {
    resolver: Arc<dyn Resolver>,
    allow_networks: Arc<[IpNet]>,
    reach: Reach,
}

impl Vetted {
    pub(super) fn new(resolver: Arc<dyn Resolver>, allow: &[IpNet], reach: Reach) -> Self {
        Self { resolver, allow_networks: allow.into(), reach }
    }
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, allow) = (self.resolver.clone(), self.allow_networks.clone());
        let reach = self.reach;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses = match resolver.resolve(&host).await {
                Ok(addresses) => addresses,
                Err(source) => return Err(Unresolved { host, source }.into()),
            };
            let vetted: Vec<SocketAddr> = addresses
                .iter()
                .filter(|address| is_allowed(**address, &allow, reach))
                .take(ADDRESSES_MAX)
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            match addresses.first() {
                Some(address) if vetted.is_empty() => {
                    Err(Forbidden { host, address: *address, reach }.into())
                }
                _ => Ok(Box::new(vetted.into_iter()) as Addrs),
            }
        })
    }
}

/// Found again in the chain of the transport's error. None of the name's addresses may be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{host} is at {address}, which may not be reached")]
pub(super) struct Forbidden {
    pub(super) host: String,
    pub(super) address: IpAddr,
    pub(super) reach: Reach,
}

/// Found again in the chain of the transport's error. The name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{host} could not be resolved")]
pub(super) struct Unresolved {
    pub(super) host: String,
    #[source]
    pub(super) source: io::Error,
}
