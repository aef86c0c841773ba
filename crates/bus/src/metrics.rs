//! Metric names of this crate; label `messaging_destination_template` is a subject pattern.

/// Messages that NATS acknowledged.
pub const SENT: &str = "messaging_client_sent_messages_total";
/// Messages taken and acknowledged.
pub const CONSUMED: &str = "messaging_client_consumed_messages_total";
/// Messages that nobody here could read; they are acknowledged, so that they do not come back.
pub const UNREADABLE: &str = "messaging_unreadable_messages_total";
/// The label of all three.
pub const DESTINATION: &str = "messaging_destination_template";
