//! The wire contract: generated gRPC and event types, id newtypes, the closed set of error
//! reasons and their gRPC and HTTP status.
//!
//! Everything that crosses a process boundary is declared in `/proto`; this crate compiles it and
//! adds the few types that give the wire meaning: [`id`]s, [`Failure`]s and [`time`]; specs of stacks
//! are [`json`] too.

pub mod failure;
pub mod id;
pub mod json;
mod secret;
pub mod time;

pub use failure::{Failure, Reason};
pub use id::{DocumentId, EventId, JobId, OperationId, ProjectId, RunId, SourceId, UserId};

/// Generated from `/proto/commandcenter/events/v1`.
pub mod events {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.events.v1");
    }
}

/// Generated from `/proto/commandcenter/hub/v1`.
pub mod hub {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.hub.v1");
    }
}

/// Generated from `/proto/commandcenter/ingestion/v1`.
pub mod ingestion {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.ingestion.v1");
    }
}

/// Generated from `/proto/commandcenter/jobs/v1`.
pub mod jobs {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.jobs.v1");
    }
}

/// Generated from `/proto/commandcenter/knowledge/v1`.
pub mod knowledge {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.knowledge.v1");
    }
}

/// Generated from `/proto/commandcenter/orchestrator/v1`.
pub mod orchestrator {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("commandcenter.orchestrator.v1");
    }
}

/// The encoded `FileDescriptorSet` of all of `/proto`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest gRPC message that any of our servers or clients takes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 20 * 1024 * 1024;
