//! Times on the wire: `google.protobuf.Timestamp` and chrono's UTC.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// To the wire.
#[must_use]
pub fn to_wire(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0),
    }
}

/// From the wire; a time outside chrono's range is none.
#[must_use]
pub fn from_wire(time: &Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}
