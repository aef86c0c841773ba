//! `user`: people who sign in to the pages.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cli::Context,
    client::{Client, read_secret},
    error::Error,
    output::{Columns, Output},
};

const COLUMNS: Columns = &[
    ("NAME", "/name"),
    ("ROLE", "/role"),
    ("ALL PROJECTS", "/all_projects"),
    ("PROJECTS", "/projects"),
    ("LAST SIGN-IN", "/last_sign_in_at"),
    ("CREATED", "/created_at"),
    ("ID", "/id"),
];

/// What a user or token may do; each may all that the one before it may.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Reads.
    Viewer,
    /// Changes sources, documents and jobs.
    Operator,
    /// Changes users and tokens, reads the audit log.
    Admin,
}

impl Role {
    /// The text form in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List users.
    List,
    /// Make a user. Asks for the password unless a file has it.
    #[command(group = ArgGroup::new("reach").args(["project", "all_projects"]).required(true))]
    Add {
        /// The name to sign in with.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Only in this project; may be given several times.
        #[arg(short, long)]
        project: Vec<String>,
        /// In all projects, also those to come.
        #[arg(long)]
        all_projects: bool,
        /// A file with the password; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Change a user; what is not named stays.
    Edit {
        /// The user's name or id.
        user: String,
        /// What the user may do.
        #[arg(long, value_enum)]
        role: Option<Role>,
        /// Only in this project; may be given several times.
        #[arg(short, long, conflicts_with = "all_projects")]
        project: Vec<String>,
        /// In all projects, also those to come.
        #[arg(long)]
        all_projects: bool,
        /// A file with a new password; `-` is standard input. Ends the user's sessions.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user with their sessions.
    Remove {
        /// The user's name or id.
        user: String,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::List => output.list(&client.get(&["users"], &[]).await?, COLUMNS),
        Command::Add { name, role, project, all_projects, password_file } => {
            let password = match password_file {
                Some(file) => read_secret(&file)?,
                None => ask_password(output)?,
            };
            let user = json!({
                "name": name, "role": role.as_str(), "password": password.expose_secret(),
                "all_projects": all_projects, "projects": project,
            });
            output.object(&client.post(&["users"], &user).await?, COLUMNS)
        }
        Command::Edit { user, role, project, all_projects, password_file } => {
            let mut change = json!({});
            if let Some(role) = role {
                change["role"] = json!(role.as_str());
            }
            if all_projects {
                change["all_projects"] = json!(true);
            } else if !project.is_empty() {
                change["projects"] = json!(project);
            }
            if let Some(file) = password_file {
                change["password"] = json!(read_secret(&file)?.expose_secret());
            }
            if change == json!({}) {
                return Err(Error::Usage("say what to change; --help lists it".to_owned()));
            }
            let id = id_of(client, &user).await?;
            output.object(&client.patch(&["users", &id], &change).await?, COLUMNS)
        }
        Command::Remove { user } => {
            let id = id_of(client, &user).await?;
            client.delete(&["users", &id]).await?;
            output.note(format_args!("removed {user}"));
            Ok(())
        }
    }
}

/// The id of the user with this id or name; names are the same in any case.
async fn id_of(client: &Client, user: &str) -> Result<String, Error> {
    if Uuid::parse_str(user).is_ok() {
        return Ok(user.to_owned());
    }
    let users = client.get(&["users"], &[]).await?;
    let items = users["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same = |item: &&Value| {
        item["name"].as_str().is_some_and(|name| name.to_lowercase() == user.to_lowercase())
    };
    items.iter().find(same).and_then(|item| item["id"].as_str()).map(str::to_owned).ok_or_else(
        || Error::NoSuch {
            what: "user",
            name: user.to_owned(),
            remedy: "`commandcenter user list` shows them",
        },
    )
}

fn ask_password(output: &Output) -> Result<SecretString, Error> {
    if !output.is_interactive() {
        return Err(Error::Usage(
            "there is no terminal to ask for the password: give --password-file".to_owned(),
        ));
    }
    let terminal = console::Term::stderr();
    let ask = |question: &str| -> Result<String, Error> {
        terminal.write_str(question).map_err(Error::Output)?;
        terminal.read_secure_line().map_err(Error::Output)
    };
    let password = ask("Password: ")?;
    if password != ask("Once more: ")? {
        return Err(Error::Failed("the two passwords differ; nothing was changed".to_owned()));
    }
    Ok(password.into())
}
