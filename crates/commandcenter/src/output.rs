//! What a command prints: data on stdout as a table or JSON; chatter, questions and progress on
//! stderr.

mod table;

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

pub(crate) use table::{Columns, clean, details, rows, table};

use crate::error::Error;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs, as the API says it.
    Json,
}

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// How data is printed.
    pub(crate) format: Format,
    /// Nothing on stderr but errors.
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints data: the value itself, or what `human` makes of it.
    pub(crate) fn data(
        &self,
        value: &Value,
        human: impl FnOnce(&Value) -> String,
    ) -> Result<(), Error> {
        match self.format {
            Format::Json => self.text(&format!("{value:#}")),
            Format::Table => self.text(&human(value)),
        }
    }

    /// Prints a list in the API's form, `{"items": […], "next_page_token": "…"}`.
    pub(crate) fn list(&self, list: &Value, columns: Columns) -> Result<(), Error> {
        self.items(list, "items", columns)
    }

    /// Prints an answer that holds a list under `key`; an empty list says so.
    pub(crate) fn items(&self, answer: &Value, key: &str, columns: Columns) -> Result<(), Error> {
        let items = answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() && self.is_for_people() {
            self.note("none");
            return Ok(());
        }
        self.data(answer, |_| rows(items, columns))?;
        if answer["next_page_token"].as_str().is_some_and(|token| !token.is_empty()) {
            self.note("there are more; --limit shows them");
        }
        Ok(())
    }

    /// Prints one object.
    pub(crate) fn object(&self, object: &Value, columns: Columns) -> Result<(), Error> {
        self.data(object, |object| details(object, columns))
    }

    /// Prints text to stdout with a line end. A reader that has seen enough is no error.
    pub(crate) fn text(&self, text: &str) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
            _ => Ok(()),
        }
    }

    /// Prints one of many lines to stdout as it is; fails when nobody reads any more.
    pub(crate) fn line(&self, line: &str) -> Result<(), Error> {
        writeln!(io::stdout().lock(), "{line}").map_err(Error::Output)
    }

    /// Prints text in place of what the terminal shows; without a terminal, after it.
    pub(crate) fn screen(&self, text: &str) -> Result<(), Error> {
        let terminal = console::Term::stdout();
        if terminal.is_term() {
            terminal.clear_screen().map_err(Error::Output)?;
        }
        self.line(text)
    }

    /// Says something that is not data.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(io::stderr(), "{}", clean_lines(&text.to_string()));
        }
    }

    /// Says why the command failed.
    pub(crate) fn error(&self, error: &Error) {
        let label = console::style("error:").for_stderr().red().bold();
        let _ = writeln!(io::stderr(), "{label} {}", clean_lines(&error.report()));
    }

    /// Whether data is printed for people.
    pub(crate) fn is_for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether someone can answer a question.
    pub(crate) fn is_interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks before something that cannot be undone; `yes` answers beforehand. Without a terminal
    /// there is nobody to ask.
    pub(crate) fn confirm(&self, question: &str, yes: bool) -> Result<(), Error> {
        if yes {
            return Ok(());
        }
        if !self.is_interactive() {
            return Err(Error::Usage(format!("{}: say --yes to do it", clean(question))));
        }
        let _ = write!(io::stderr(), "{}? [y/N] ", clean(question));
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Error::Failed("not confirmed; nothing was changed".to_owned()))
    }

    /// A spinner on stderr; hidden when nobody watches.
    pub(crate) fn spinner(&self) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
        let bar =
            ProgressBar::new_spinner().with_style(style.expect("the template is well formed"));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// A progress bar on stderr; hidden when nobody watches.
    pub(crate) fn progress(&self, total: u64, what: &'static str) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(
            "{spinner} {prefix} {bar:30} {pos}/{len} {elapsed} {wide_msg}",
        );
        let bar = ProgressBar::new(total)
            .with_style(style.expect("the template is well formed"))
            .with_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// [`clean`], line by line.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}
