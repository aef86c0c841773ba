//! What a site wants to see, from files: a secret on the command line would be in the shell's
//! history and in every process list.

use std::path::PathBuf;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::{client::read_secret, error::Error};

/// At most one kind of credential. In every file, `-` is standard input.
#[derive(Debug, Args)]
#[command(next_help_heading = "Credential of the site")]
pub(crate) struct Credential {
    /// HTTP Basic: the user.
    #[arg(long, value_name = "USER", requires = "basic_password_file")]
    basic_user: Option<String>,
    /// HTTP Basic: a file with the password.
    #[arg(
        long, value_name = "FILE", requires = "basic_user",
        conflicts_with_all = ["bearer_file", "api_key_file"]
    )]
    basic_password_file: Option<PathBuf>,
    /// A file with a bearer token.
    #[arg(long, value_name = "FILE", conflicts_with = "api_key_file")]
    bearer_file: Option<PathBuf>,
    /// A header of the site's own, such as X-Api-Key.
    #[arg(long, value_name = "HEADER", requires = "api_key_file")]
    api_key_header: Option<String>,
    /// A file with that header's value.
    #[arg(long, value_name = "FILE", requires = "api_key_header")]
    api_key_file: Option<PathBuf>,
}

impl Credential {
    /// Reads the secret and puts it into the API's form; nothing when none was given.
    pub(crate) fn read(&self) -> Result<Option<Value>, Error> {
        if let (Some(user), Some(file)) = (&self.basic_user, &self.basic_password_file) {
            let password = read_secret(file)?;
            return Ok(Some(json!({
                "kind": "basic", "username": user, "password": password.expose_secret(),
            })));
        }
        if let Some(file) = &self.bearer_file {
            let token = read_secret(file)?;
            return Ok(Some(json!({ "kind": "bearer", "token": token.expose_secret() })));
        }
        if let (Some(header), Some(file)) = (&self.api_key_header, &self.api_key_file) {
            let value = read_secret(file)?;
            return Ok(Some(json!({
                "kind": "api_key", "header": header, "value": value.expose_secret(),
            })));
        }
        Ok(None)
    }
}
