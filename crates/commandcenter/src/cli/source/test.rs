//! `source test`: what a source would bring, without storing anything.

use serde_json::json;

use super::{credential::Credential, id_of, settings::set};
use crate::{cli::Context, error::Error, output::Columns};

const COLUMNS: Columns = &[
    ("OK", "/ok"),
    ("TITLE", "/title"),
    ("FORMAT", "/format"),
    ("ITEMS", "/items"),
    ("FIRST ITEMS", "/samples"),
];

/// Fetch and read a source once without storing anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  commandcenter source test blog --project web\n  \
                        commandcenter source test https://example.org/feed.xml")]
pub(crate) struct Args {
    /// A source's id or name, or the address of a feed that is no source yet.
    #[arg(value_name = "SOURCE|URL")]
    subject: String,
    /// The project in which the name is looked for.
    #[arg(short, long)]
    project: Option<String>,
    #[command(flatten)]
    credential: Credential,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), Error> {
    let client = &context.client;
    let credential = args.credential.read()?;
    let answer = if args.subject.contains("://") {
        let mut test = json!({ "kind": "feed", "url": args.subject });
        set(&mut test, "project", args.project);
        set(&mut test, "credential", credential);
        client.post(&["sources", "test"], &test).await?
    } else {
        if credential.is_some() {
            return Err(Error::Usage(
                "a source is tested with its own credential; give the credential with a URL, or \
                 change the source's with `source edit`"
                    .to_owned(),
            ));
        }
        let id = id_of(client, &args.subject, args.project.as_deref()).await?;
        client.act(&["sources", &id, "test"]).await?
    };
    context.output.object(&answer, COLUMNS)?;
    if answer["ok"] == false {
        return Err(Error::Failed(format!("{} cannot be read as a source", args.subject)));
    }
    Ok(())
}
