//! `secret`: values that services get as files, and nobody else sees.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::json;

use crate::{
    cli::{Context, stack::Of},
    error::Error,
    output::Columns,
};

/// The largest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

const COLUMNS: Columns = &[("NAME", "/name"), ("VERSION", "/version"), ("CREATED", "/created_at")];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep a secret, sealed; the services that use it are made anew with its value.
    #[command(after_help = "Example: commandcenter secret put db_password --file - --project web")]
    Put {
        /// The name that a Compose file gives it.
        name: String,
        /// The file whose whole content is the value; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        of: Of,
    },
    /// List secrets, never their values.
    List(Of),
    /// Remove a secret.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        of: Of,
    },
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<(), Error> {
    let Context { client, output, .. } = context;
    match command {
        Command::Put { name, file, of } => {
            let value = BASE64_STANDARD.encode(read(&file)?.expose_secret());
            let path = ["projects", &of.project, "secrets", &name];
            output.object(&client.put(&path, &json!({ "value": value })).await?, COLUMNS)
        }
        Command::List(of) => {
            let answer = client.get(&["projects", &of.project, "secrets"], &[]).await?;
            output.items(&answer, "secrets", COLUMNS)
        }
        Command::Delete { name, of } => {
            client.delete(&["projects", &of.project, "secrets", &name]).await?;
            output.note(format_args!("deleted {name}"));
            Ok(())
        }
    }
}

/// The bytes of a file, as they are.
fn read(path: &Path) -> Result<SecretSlice<u8>, Error> {
    let mut value = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(SECRET_BYTES_MAX + 1).read_to_end(&mut value)
    } else {
        File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut value))
    };
    let value = SecretSlice::from(value);
    let count = read.map_err(|source| Error::Unreadable {
        what: "the secret in",
        path: path.to_owned(),
        remedy: "name a file that you can read with --file",
        source,
    })?;
    match count as u64 {
        0 => Err(Error::Usage(format!("{} is empty; it must hold a secret", path.display()))),
        1..=SECRET_BYTES_MAX => Ok(value),
        _ => Err(Error::Usage(format!(
            "{} is longer than {SECRET_BYTES_MAX} bytes, the most that a secret may have",
            path.display()
        ))),
    }
}
