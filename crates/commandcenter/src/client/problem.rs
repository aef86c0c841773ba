//! A refusal by the REST API, as a person reads it at the command line.

use std::fmt;

use serde::Deserialize;

/// The body of a refusal, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened, to what, why, and what to do next.
    pub(crate) detail: String,
    /// The reason, such as `NOT_FOUND`.
    pub(crate) code: String,
    /// The fields at fault.
    pub(crate) errors: Vec<FieldProblem>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u64>,
    /// Finds the request in the server's logs and traces.
    pub(crate) trace_id: Option<String>,
}

/// One field at fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FieldProblem {
    /// Its name in the request.
    pub(crate) field: String,
    /// What it must be.
    pub(crate) detail: String,
}

impl Problem {
    /// The exit code that stands for the status.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.status {
            400 => 2,
            401 | 403 => 4,
            404 => 3,
            409 | 412 => 5,
            408 | 429 | 502 | 503 | 504 => 6,
            _ => 1,
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// What to do next where the detail, which the server wrote for every client, cannot know.
    fn remedy(&self) -> Option<String> {
        match self.status {
            401 => {
                Some("give a token that works: --token-file or COMMANDCENTER_TOKEN_FILE".to_owned())
            }
            502..=504 => Some("`commandcenter status` shows which service is not ready".to_owned()),
            500 => Some("the server's log has the cause".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for error in &self.errors {
            if !self.detail.contains(&error.detail) {
                write!(f, "\n  {}: {}", error.field, error.detail)?;
            } else if !self.detail.contains(&error.field) {
                write!(f, "\n  field: {}", error.field)?;
            }
        }
        if let Some(seconds) = self.retry_after {
            write!(f, "\n  try again in {seconds} s")?;
        }
        if let Some(remedy) = self.remedy() {
            write!(f, "\n  {remedy}")?;
        }
        if let (500.., Some(trace)) = (self.status, &self.trace_id) {
            write!(f, "\n  trace id {trace}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_every_field_once() {
        let field = |field: &str, detail: &str| FieldProblem {
            field: field.to_owned(),
            detail: detail.to_owned(),
        };
        let problem = Problem {
            status: 400,
            detail: "priority is 11: give 1 to 10".to_owned(),
            errors: vec![
                field("priority", "priority is 11: give 1 to 10"),
                field("url", "is no URL"),
            ],
            ..Problem::default()
        };
        assert_eq!(problem.to_string(), "priority is 11: give 1 to 10\n  url: is no URL");
    }

    #[test]
    fn each_kind_of_refusal_has_its_exit_code() {
        let table = [
            (400, 2),
            (401, 4),
            (403, 4),
            (404, 3),
            (409, 5),
            (412, 5),
            (413, 1),
            (422, 1),
            (429, 6),
            (500, 1),
            (503, 6),
            (504, 6),
        ];
        for (status, code) in table {
            assert_eq!(Problem { status, ..Problem::default() }.exit_code(), code, "{status}");
        }
    }
}
