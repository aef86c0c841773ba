//! The jobs of this service, in the order in which content meets them.
//!
//! - [`fetch`]: looks at a source and stores what is new or edited.
//! - [`process`]: turns one item into a document and hands it to knowledge.
//! - [`purge`]: removes a source and its documents.
//! - [`rank`]: tells ranking about an edit that it has not heard of.
//! - [`retention`]: removes what nobody needs any more.

pub mod fetch;
pub mod process;
pub mod purge;
pub mod rank;
pub mod retention;

pub use fetch::Fetch;
pub use process::Process;
pub use purge::Purge;
pub use rank::Rank;
pub use retention::Retention;
