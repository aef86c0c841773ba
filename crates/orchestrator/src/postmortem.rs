//! What is known about one end of a service, put together when it happens. Pure.
//!
//! It is kept when the container and its log are long gone, so it holds what a person would look
//! for first, within limits.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use proto::{OperationId, ProjectId};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::probe::Answer;
use crate::reason::{Diagnosis, Exit, Reason};
use crate::usage::{Record, Sample};

/// Lines of the log that are kept.
pub const LINES_MAX: usize = 200;
/// Of one such line, in bytes.
pub const LINE_BYTES_MAX: usize = 4096;
/// Of all such lines, in bytes.
pub const LINES_BYTES_MAX: usize = 64 * 1024;
/// Probe answers that are kept.
pub const ANSWERS_MAX: usize = 15;
/// Usage that is kept, back from the end.
const USAGE_KEPT: TimeDelta = TimeDelta::seconds(60);

/// What is known about one end of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Postmortem {
    /// Names it: the same end has the same id, and later ends have larger ones.
    pub id: Uuid,
    /// Whose end.
    pub service: String,
    /// Why, what it means, and what to do.
    pub diagnosis: Diagnosis,
    /// When.
    pub at: DateTime<Utc>,
    /// `None` when its process did not end by itself, or never began.
    pub exit_code: Option<i64>,
    /// The kernel ended it for memory.
    pub out_of_memory: bool,
    /// The largest working set that was seen, in bytes; 0 when nobody looked.
    pub memory_peak: u64,
    /// The last lines of its log, oldest first, at most [`LINES_MAX`], without secrets.
    pub last_lines: Vec<String>,
    /// The last probe answers, newest first, at most [`ANSWERS_MAX`].
    pub probes: Vec<Answer>,
    /// Its last minute, oldest first.
    pub usage: Vec<Sample>,
    /// During which it happened, if during any.
    pub operation: Option<OperationId>,
    /// Counts the ends in a row, from 1.
    pub attempt: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its process ended.
    Ended {
        /// As the Engine has it.
        code: i64,
        /// The Engine's flag, or an `oom` event just before.
        out_of_memory: bool,
        /// In bytes.
        memory_limit: u64,
    },
    /// Its probes, or the Engine, say that it does not get on.
    Told(Diagnosis),
}

/// Everything that was at hand.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Whose end.
    pub project: ProjectId,
    /// Whose end.
    pub service: &'a str,
    /// In which container; empty when there was none.
    pub container: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: &'a Event,
    /// The end of its log, oldest first, without secrets.
    pub lines: &'a [String],
    /// Its probes' answers, newest first.
    pub probes: &'a [Answer],
    /// What it used.
    pub usage: Option<&'a Record>,
    /// During which it happened.
    pub operation: Option<OperationId>,
    /// Counts the ends in a row, from 1.
    pub attempt: u32,
}

/// Puts together what is known.
#[must_use]
pub fn assemble(evidence: &Evidence<'_>) -> Postmortem {
    let memory_peak = evidence.usage.map_or(0, |record| record.memory_peak);
    let last_lines = last(evidence.lines);
    let usage = evidence.usage.map_or_else(VecDeque::new, |it| it.samples.clone()).into_iter();
    let (exit_code, out_of_memory) = match evidence.event {
        Event::Ended { code, out_of_memory, .. } => (Some(*code), *out_of_memory),
        Event::Told(diagnosis) => (None, diagnosis.reason == Reason::OutOfMemory),
    };
    Postmortem {
        id: id(evidence),
        service: evidence.service.to_owned(),
        diagnosis: diagnose(evidence.event, memory_peak, &last_lines),
        at: evidence.at,
        exit_code,
        out_of_memory,
        memory_peak,
        last_lines,
        probes: evidence.probes.iter().take(ANSWERS_MAX).cloned().collect(),
        usage: usage.filter(|it| it.at >= evidence.at - USAGE_KEPT).collect(),
        operation: evidence.operation,
        attempt: evidence.attempt,
    }
}

fn diagnose(event: &Event, memory_peak: u64, lines: &[String]) -> Diagnosis {
    match event {
        Event::Told(diagnosis) => diagnosis.clone(),
        Event::Ended { code, out_of_memory, memory_limit } => Exit {
            code: *code,
            out_of_memory: *out_of_memory,
            memory_limit: *memory_limit,
            memory_peak,
            last_line: lines.last().map_or("", String::as_str),
        }
        .diagnose(),
    }
}

/// Of a time and of who ended, so that whoever tells of it again names the same.
fn id(evidence: &Evidence<'_>) -> Uuid {
    let mut sha = Sha256::new();
    sha.update(evidence.project.0);
    sha.update(evidence.service);
    sha.update(evidence.container);
    sha.update(evidence.at.timestamp_nanos_opt().unwrap_or_default().to_be_bytes());
    let (digest, mut random) = (sha.finalize(), [0; 10]);
    random.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(evidence.at.timestamp_millis()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// The end of a log, within limits.
fn last(lines: &[String]) -> Vec<String> {
    let mut bytes = 0;
    let kept = lines.iter().rev().take(LINES_MAX).map(|it| cut(it)).take_while(|it| {
        bytes += it.len();
        bytes <= LINES_BYTES_MAX
    });
    let mut kept: Vec<String> = kept.collect();
    kept.reverse();
    kept
}

/// The begin of a line, cut between characters.
fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probe::{Purpose, Verdict};

    fn answer(output: &str) -> Answer {
        Answer {
            purpose: Purpose::Liveness,
            verdict: Verdict::Failure,
            output: output.to_owned(),
            at: DateTime::UNIX_EPOCH,
            took: Duration::ZERO,
        }
    }

    fn evidence<'a>(event: &'a Event, lines: &'a [String], probes: &'a [Answer]) -> Evidence<'a> {
        Evidence {
            project: ProjectId(Uuid::from_u128(7)),
            service: "web",
            container: "c1",
            at: DateTime::UNIX_EPOCH,
            event,
            lines,
            probes,
            usage: None,
            operation: None,
            attempt: 3,
        }
    }

    #[test]
    fn it_keeps_the_end_of_the_log_within_limits() {
        let lines: Vec<String> = (0..500).map(|n| format!("{n} {}", "ä".repeat(100))).collect();
        let probes: Vec<Answer> = (0..30).map(|n| answer(&n.to_string())).collect();
        let event = Event::Ended { code: 139, out_of_memory: false, memory_limit: 0 };
        let post = assemble(&evidence(&event, &lines, &probes));
        assert_eq!(post.last_lines.len(), LINES_MAX);
        assert!(post.last_lines[0].starts_with("300 "));
        let long: Vec<String> = (0..200).map(|n| format!("{n} {}", "ä".repeat(5000))).collect();
        let cut = assemble(&evidence(&event, &long, &[])).last_lines;
        assert!(cut.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        assert!(cut.iter().map(String::len).sum::<usize>() <= LINES_BYTES_MAX && cut.len() >= 15);
        assert!(cut.last().is_some_and(|it| it.starts_with("199 ")));
        assert_eq!((post.probes.len(), post.probes[0].output.as_str()), (ANSWERS_MAX, "0"));
        assert_eq!((post.exit_code, post.attempt), (Some(139), 3));
        assert!(post.diagnosis.message.contains("SIGSEGV"));
    }

    #[test]
    fn the_same_end_has_the_same_id_and_a_later_one_a_larger() {
        let event = Event::Ended { code: 1, out_of_memory: false, memory_limit: 0 };
        let first = evidence(&event, &[], &[]);
        let id = |evidence: Evidence<'_>| assemble(&evidence).id;
        assert_eq!(id(first), id(Evidence { attempt: 9, ..first }));
        assert_ne!(id(first), id(Evidence { container: "c2", ..first }));
        assert_ne!(id(first), id(Evidence { service: "db", ..first }));
        assert!(id(first) < id(Evidence { at: first.at + TimeDelta::milliseconds(1), ..first }));
    }

    #[test]
    fn out_of_memory_is_explained_with_the_peak_that_was_seen() {
        let event = Event::Ended { code: 137, out_of_memory: true, memory_limit: 64 << 20 };
        let usage = Record { memory_peak: 63 << 20, ..Record::default() };
        let post = assemble(&Evidence { usage: Some(&usage), ..evidence(&event, &[], &[]) });
        assert_eq!(post.diagnosis.reason, Reason::OutOfMemory);
        assert!(post.diagnosis.message.contains("most seen before: 63 MiB"));
        assert!(post.out_of_memory && post.memory_peak == 63 << 20);
    }

    #[test]
    fn the_last_line_can_tell_the_reason() {
        let event = Event::Ended { code: 1, out_of_memory: false, memory_limit: 0 };
        let lines = ["exec /app: exec format error".to_owned()];
        let post = assemble(&evidence(&event, &lines, &[]));
        assert_eq!(post.diagnosis.reason, Reason::ImageUnusable);
    }

    #[test]
    fn a_service_that_was_found_unhealthy_has_no_exit_code() {
        let told =
            Diagnosis::new(Reason::Unhealthy, "the liveness probe fails: connection refused");
        let post = assemble(&evidence(&Event::Told(told.clone()), &[], &[answer("x")]));
        assert_eq!((post.diagnosis, post.exit_code, post.out_of_memory), (told, None, false));
    }
}
