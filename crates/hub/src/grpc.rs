//! Ways in over gRPC: `JobService` and `ProjectService`.

mod jobs;
mod projects;

pub(crate) use jobs::Jobs;
pub(crate) use projects::Projects;

use chassis::auth;
use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::time::to_wire;
use secrecy::SecretString;
use tonic::{Request, Status};

use crate::identity::Identity;

/// Who calls, from what the server's gate found.
fn identity<T>(request: &Request<T>) -> Result<Identity, Status> {
    let caller = auth::caller(request)?;
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.split_once(' ')).map_or("", |(_, token)| token);
    Ok(Identity { caller, token: SecretString::from(token.trim()), csrf: None })
}

fn wire_time(time: Option<DateTime<Utc>>) -> Option<Timestamp> {
    time.map(to_wire)
}
