//! `token`: API tokens for people and programs.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::{ArgGroup, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{Context, user::Role},
    error::Error,
    output::Columns,
};

const COLUMNS: Columns = &[
    ("NAME", "/name"),
    ("ROLE", "/role"),
    ("ALL PROJECTS", "/all_projects"),
    ("PROJECTS", "/projects"),
    ("CREATED BY", "/created_by"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
    ("REVOKED", "/revoked_at"),
    ("ID", "/id"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token. Its secret is shown this once.
    #[command(after_help = "Example: commandcenter token create --name ci --role operator \
                            --project web --out ci.token")]
    #[command(group = ArgGroup::new("reach").args(["project", "all_projects"]).required(true))]
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Only in this project; may be given several times.
        #[arg(short, long)]
        project: Vec<String>,
        /// In all projects, also those to come.
        #[arg(long)]
        all_projects: bool,
        /// Days until it stops working; never otherwise.
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
        /// Write the secret to this new file, which only you can read, rather than show it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List tokens, without their secrets.
    List,
    /// Stop a token from working.
    Revoke {
        /// The token's id.
        id: String,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::List => output.list(&client.get(&["tokens"], &[]).await?, COLUMNS),
        Command::Create { name, role, project, all_projects, expires_in_days, out } => {
            // Before the token is made: a secret that cannot be written would be lost.
            let file = out.as_ref().map(private_file).transpose()?;
            let mut body = json!({
                "name": name, "role": role.as_str(),
                "all_projects": all_projects, "projects": project,
            });
            if let Some(days) = expires_in_days {
                body["expires_in_days"] = json!(days);
            }
            let made = client.post(&["tokens"], &body).await;
            if let (Err(_), Some(out)) = (&made, &out) {
                // An empty file would be in the way of the next attempt.
                let _ = std::fs::remove_file(out);
            }
            let mut token = made?;
            let Some(mut file) = file else {
                output.note("this is the only time that the secret is shown");
                return output.data(&token, |token| secret_of(token).to_owned());
            };
            writeln!(file, "{}", secret_of(&token)).map_err(Error::Output)?;
            if let Some(fields) = token.as_object_mut() {
                fields.remove("token");
            }
            output.object(&token, COLUMNS)
        }
        Command::Revoke { id } => {
            client.delete(&["tokens", &id]).await?;
            output.note(format_args!("revoked; {id} stops working everywhere within 30 s"));
            Ok(())
        }
    }
}

fn secret_of(token: &Value) -> &str {
    token["token"].as_str().unwrap_or_default()
}

fn private_file(path: &PathBuf) -> Result<std::fs::File, Error> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        Error::Failed(format!(
            "cannot make {} ({error}); name a file that does not exist yet in a folder of yours",
            path.display()
        ))
    })
}
