//! `stack apply`: Compose files become what a project's stack is to be.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::files::Files;
use crate::{
    cli::Context,
    client::FieldProblem,
    compose::{Origins, Resolved},
    error::Error,
};

/// How a field of the spec is named where the spec is a part of the request.
const SPEC: &str = "spec.";

/// Sends what the files mean, with their secrets; answers the operation.
pub(super) async fn run(files: &Files, project: &str, context: &Context) -> Result<Value, Error> {
    let resolved = files.resolve(context.output)?;
    let secret = |(name, value): (&String, &secrecy::SecretSlice<u8>)| {
        (name.clone(), Value::from(BASE64_STANDARD.encode(value.expose_secret())))
    };
    let secrets: Map<String, Value> = resolved.secrets.iter().map(secret).collect();
    let body = json!({ "spec": spec(&resolved)?, "secrets": secrets });
    let sent = context.client.put(&["projects", project, "stack"], &body).await;
    sent.map_err(|error| placed(error, &resolved.origins))
}

pub(super) fn spec(resolved: &Resolved) -> Result<Value, Error> {
    serde_json::to_value(&resolved.spec).map_err(|error| Error::Failed(error.to_string()))
}

/// A refusal that names fields of the spec names the places where they were written.
pub(super) fn placed(error: Error, origins: &Origins) -> Error {
    let Error::Refused(problem) = &error else { return error };
    let told: Vec<(String, bool)> = problem.errors.iter().map(|it| place(it, origins)).collect();
    if !told.iter().any(|(_, is_placed)| *is_placed) {
        return error;
    }
    let mut lines: Vec<String> = told.into_iter().map(|(line, _)| line).collect();
    lines.dedup();
    Error::Failed(lines.join("\n"))
}

fn place(wrong: &FieldProblem, origins: &Origins) -> (String, bool) {
    let field = wrong.field.strip_prefix(SPEC).unwrap_or(&wrong.field);
    match origins.fault(field, &wrong.detail) {
        Some(fault) => (fault.to_string(), true),
        None => (format!("{field}: {}", wrong.detail), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Problem;

    #[test]
    fn a_refusal_without_fields_stays_as_it_is() {
        let problem = Problem { status: 503, detail: "try again".to_owned(), ..Problem::default() };
        let error = placed(Error::Refused(Box::new(problem)), &Origins::default());
        assert_eq!((error.exit_code(), error.to_string().lines().next()), (6, Some("try again")));
        let field = FieldProblem { field: "volumes".to_owned(), detail: "no".to_owned() };
        let problem = Problem { status: 400, errors: vec![field], ..Problem::default() };
        assert_eq!(placed(Error::Refused(Box::new(problem)), &Origins::default()).exit_code(), 2);
    }
}
