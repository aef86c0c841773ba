//! `search`: ranked passages with their sources.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    cli::Context,
    error::Error,
    output::{clean, clean_lines},
};

/// Characters of a passage that are shown to a person.
const PASSAGE_CHARS_MAX: usize = 400;

/// Search all documents.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: commandcenter search 'rotate a token' --project web --limit 3")]
pub(crate) struct Args {
    /// The words.
    #[arg(required = true)]
    words: Vec<String>,
    /// Only this project; may be given several times.
    #[arg(short, long)]
    project: Vec<String>,
    /// How many passages, 1 to 100.
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Only this source, by name or id; may be given several times.
    #[arg(long)]
    source: Vec<String>,
    /// Only this kind of source; may be given several times.
    #[arg(long)]
    kind: Vec<String>,
    /// Only this author; may be given several times.
    #[arg(long)]
    author: Vec<String>,
    /// Only this tag; may be given several times.
    #[arg(long)]
    tag: Vec<String>,
    /// Published at or after this day or time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Published before this day or time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// By words, by meaning, or both.
    #[arg(long, value_parser = ["hybrid", "lexical", "semantic"])]
    mode: Option<String>,
    /// Whether documents with the same text share one result.
    #[arg(long, value_parser = ["on", "off"])]
    collapse: Option<String>,
    /// How much newer documents gain, 0 to 0.15.
    #[arg(long, value_name = "WEIGHT")]
    recency: Option<f64>,
    /// Say how each score came about.
    #[arg(long)]
    explain: bool,
}

impl Args {
    fn query(self) -> Vec<(&'static str, String)> {
        let mut query = vec![("q", self.words.join(" ")), ("limit", self.limit.to_string())];
        for (key, values) in [
            ("project", self.project),
            ("source", self.source),
            ("kind", self.kind),
            ("author", self.author),
            ("tag", self.tag),
        ] {
            query.extend(values.into_iter().map(|value| (key, value)));
        }
        for (key, value) in [
            ("since", self.since),
            ("until", self.until),
            ("mode", self.mode),
            ("collapse", self.collapse),
            ("recency", self.recency.map(|weight| weight.to_string())),
            ("explain", self.explain.then(|| "true".to_owned())),
        ] {
            query.extend(value.map(|value| (key, value)));
        }
        query
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let answer = context.client.get(&["knowledge", "search"], &args.query()).await?;
    let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    if answer["embedder"]["semantic"] == false {
        context.output.note("searched by words only: no embedding model is at work");
    }
    if results.is_empty() {
        context.output.note("nothing found");
    }
    if results.is_empty() && context.output.is_for_people() {
        return Ok(());
    }
    context.output.data(&answer, |_| {
        let passages = results.iter().enumerate();
        passages.map(|(at, result)| passage(at + 1, result)).collect::<Vec<_>>().join("\n\n")
    })
}

fn passage(rank: usize, result: &Value) -> String {
    let field = |name: &str| clean(result[name].as_str().unwrap_or_default());
    let score = result["score"].as_f64().unwrap_or_default();
    let mut lines = format!("{rank}. {}  [{}, {score:.4}]", field("title"), field("source"));
    for name in ["heading", "url"] {
        let value = field(name);
        if !value.is_empty() && value != field("title") {
            let _ = write!(lines, "\n   {value}");
        }
    }
    for line in excerpt(result["text"].as_str().unwrap_or_default()).lines() {
        let _ = write!(lines, "\n   {line}");
    }
    if let Some(explanation) = result.get("explain").and_then(Value::as_object) {
        let factors = explanation.iter().map(|(name, value)| format!("{name} {value}"));
        let _ = write!(lines, "\n   {}", factors.collect::<Vec<_>>().join(", "));
    }
    for also in result["also_in"].as_array().into_iter().flatten() {
        let title = clean(also["title"].as_str().unwrap_or_default());
        let _ = write!(
            lines,
            "\n   also in {title} [{}]",
            clean(also["source"].as_str().unwrap_or_default())
        );
    }
    lines
}

fn excerpt(text: &str) -> String {
    let mut excerpt: String = clean_lines(text.trim()).chars().take(PASSAGE_CHARS_MAX).collect();
    if excerpt.chars().count() == PASSAGE_CHARS_MAX {
        excerpt.push('…');
    }
    excerpt
}
