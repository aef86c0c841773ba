//! `doctor`: what is wrong with an installation, and how to mend each thing.

mod docker;
mod instance;
mod machine;

use serde_json::json;

use crate::{
    cli::Global,
    error::Error,
    output::{Output, clean},
};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// Works, but not as well as it should.
    Warn,
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn colored(self) -> String {
        let text = console::style(self.as_str());
        match self {
            Self::Pass => text.green(),
            Self::Warn => text.yellow(),
            Self::Fail => text.red(),
        }
        .to_string()
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: String,
    verdict: Verdict,
    /// What was found.
    detail: String,
    /// What to do; empty when all is well.
    fix: String,
}

impl Check {
    fn pass(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Pass, detail, "")
    }

    fn warn(name: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warn, detail, fix)
    }

    fn fail(name: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fail, detail, fix)
    }

    fn new(
        name: &str,
        verdict: Verdict,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name: name.to_owned(), verdict, detail: detail.into(), fix: fix.into() }
    }
}

/// Looks at everything, also after a failure, and prints what it found.
pub(crate) async fn run(global: &Global) -> Result<(), Error> {
    let mut checks = machine::checks(global);
    checks.extend(docker::check(global).await);
    checks.extend(instance::checks(global).await);
    print(&checks, global.speech())?;
    match checks.iter().filter(|check| check.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        1 => Err(Error::Failed("a check failed".to_owned())),
        failed => Err(Error::Failed(format!("{failed} checks failed"))),
    }
}

fn print(checks: &[Check], output: Output) -> Result<(), Error> {
    let report = json!({ "checks": checks
        .iter()
        .map(|check| json!({
            "name": check.name, "verdict": check.verdict.as_str(),
            "detail": check.detail, "fix": check.fix,
        }))
        .collect::<Vec<_>>() });
    output.data(&report, |_| checks.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn line(check: &Check) -> String {
    let verdict = check.verdict.colored();
    let line = format!("{verdict}  {}: {}", check.name, clean(&check.detail));
    if check.fix.is_empty() { line } else { format!("{line}\n      {}", clean(&check.fix)) }
}
