//! Records of logs as REST shows them.

use chrono::{DateTime, Utc};
use proto::{orchestrator::v1 as wire, time::from_wire};
use serde::Serialize;
use utoipa::ToSchema;

/// One record of a service's log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct LogRecord {
    /// The service.
    pub(crate) service: String,
    /// Grows with each record of a service; 0 when it is not of the service's log.
    pub(crate) sequence: u64,
    /// Names this record over all services that were asked for; reading goes on after it.
    pub(crate) cursor: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<DateTime<Utc>>,
    /// What it is, with the fields of its kind beside.
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What the service has written.
    Line {
        /// `stdout` or `stderr`.
        stream: String,
        /// The line, without its end.
        text: String,
        /// `trace`, `debug`, `info`, `warn` or `error`; empty when the text does not say.
        level: String,
        /// Cut at 1 MiB.
        truncated: bool,
    },
    /// What has happened to its container.
    Mark {
        /// `started`, `exited`, `out_of_memory`, `recreated` or `removed`.
        event: String,
        /// In words.
        text: String,
    },
    /// Lines that are missing.
    Gap {
        /// Since when.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<DateTime<Utc>>,
        /// Until when.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<DateTime<Utc>>,
        /// Why.
        reason: String,
        /// How many; 0: not known.
        lines: u64,
    },
    /// A follower that was too slow; what it missed comes from the disk.
    Lag {
        /// How far it is behind.
        records: u64,
    },
}

impl LogRecord {
    /// From the wire; none for a record of a kind that came after this version.
    pub(crate) fn new(record: wire::LogRecord) -> Option<Self> {
        Some(Self {
            at: record.at.as_ref().and_then(from_wire),
            service: record.service,
            sequence: record.sequence,
            cursor: record.cursor,
            kind: Kind::from(record.kind?),
        })
    }

    /// The line, if it is one.
    pub(crate) fn line(&self) -> Option<&str> {
        match &self.kind {
            Kind::Line { text, .. } => Some(text),
            Kind::Mark { .. } | Kind::Gap { .. } | Kind::Lag { .. } => None,
        }
    }

    /// What a place in the service's log is called in an address.
    pub(crate) fn anchor(&self) -> String {
        format!("{}:{}", self.service, self.sequence)
    }
}

impl From<wire::log_record::Kind> for Kind {
    fn from(kind: wire::log_record::Kind) -> Self {
        use wire::log_record::Kind as Wire;
        match kind {
            Wire::Line(line) => Self::Line {
                stream: line.stream,
                text: line.text,
                level: line.level,
                truncated: line.truncated,
            },
            Wire::Mark(mark) => Self::Mark { event: mark.event, text: mark.text },
            Wire::Gap(gap) => Self::Gap {
                from: gap.from.as_ref().and_then(from_wire),
                to: gap.to.as_ref().and_then(from_wire),
                reason: gap.reason,
                lines: gap.lines,
            },
            Wire::Lag(lag) => Self::Lag { records: lag.records },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_kind_stand_beside_the_others() {
        let wire = wire::LogRecord {
            service: "web".to_owned(),
            sequence: 7,
            cursor: "web:7".to_owned(),
            kind: Some(wire::log_record::Kind::Lag(wire::LogLag { records: 3 })),
            ..Default::default()
        };
        let record = LogRecord::new(wire).unwrap();
        let json = serde_json::json!({
            "service": "web", "sequence": 7, "cursor": "web:7", "kind": "lag", "records": 3,
        });
        assert_eq!(serde_json::to_value(record).unwrap(), json);
    }
}
