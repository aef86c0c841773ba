//! What is known about one end of a service, put together when it happens. Pure.
//!
//! It is kept when the container and its log are long gone, so it holds what a person would look
//! for first, within limits.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use proto::OperationId;
use uuid::Uuid;

use crate::probe::Answer;
use crate::reason::{Diagnosis, Exit, Reason};
use crate::usage::{Record, Sample};

/// Lines of the log that are kept.
pub const LINES_MAX: usize = 200;
/// Of one such line, in bytes.
pub const LINE_BYTES_MAX: usize = 4096;
/// Probe answers that are kept.
pub const ANSWERS_MAX: usize = 15;

/// What is known about one end of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Postmortem {
    /// Names it.
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
    pub service: &'a str,
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
    let skipped = evidence.lines.len().saturating_sub(LINES_MAX);
    let last_lines: Vec<String> = evidence.lines[skipped..].iter().map(|it| cut(it)).collect();
    let (exit_code, out_of_memory) = match evidence.event {
        Event::Ended { code, out_of_memory, .. } => (Some(*code), *out_of_memory),
        Event::Told(diagnosis) => (None, diagnosis.reason == Reason::OutOfMemory),
    };
    Postmortem {
        id: Uuid::now_v7(),
        service: evidence.service.to_owned(),
        diagnosis: diagnose(evidence.event, memory_peak, &last_lines),
        at: evidence.at,
        exit_code,
        out_of_memory,
        memory_peak,
        last_lines,
        probes: evidence.probes.iter().take(ANSWERS_MAX).cloned().collect(),
        usage: evidence.usage.map_or_else(VecDeque::new, |it| it.samples.clone()).into(),
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
            service: "web",
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
        let lines: Vec<String> = (0..500).map(|n| format!("{n} {}", "ä".repeat(5000))).collect();
        let probes: Vec<Answer> = (0..30).map(|n| answer(&n.to_string())).collect();
        let event = Event::Ended { code: 139, out_of_memory: false, memory_limit: 0 };
        let post = assemble(&evidence(&event, &lines, &probes));
        assert_eq!(post.last_lines.len(), LINES_MAX);
        assert!(post.last_lines[0].starts_with("300 "));
        assert!(post.last_lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!((post.probes.len(), post.probes[0].output.as_str()), (ANSWERS_MAX, "0"));
        assert_eq!((post.exit_code, post.attempt), (Some(139), 3));
        assert!(post.diagnosis.message.contains("SIGSEGV"));
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
