//! Secrets of projects: people put and delete them, and see names and versions. A value is never
//! shown, and is only passed on.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use proto::{Failure, Reason, orchestrator::v1 as wire, time::from_wire};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::{self, Act},
    clients::{ORCHESTRATOR, refused},
    identity::Identity,
    projects::{self, Target},
};

/// Largest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Longest base64 of a value, in characters.
const VALUE_CHARACTERS_MAX: usize = VALUE_BYTES_MAX.div_ceil(3) * 4;

/// A value, in base64.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Value(SecretString);

/// A secret to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    /// The value in base64, at most 64 KiB of bytes.
    #[schema(value_type = String)]
    pub(crate) value: Value,
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Secret {
    /// Its name.
    pub(crate) name: String,
    /// Grows with each value.
    pub(crate) version: u32,
    /// When this version was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<DateTime<Utc>>,
}

impl Value {
    /// What someone has typed.
    pub(crate) fn typed(text: &str) -> Self {
        Self(SecretString::from(STANDARD.encode(text)))
    }

    /// Refuses what is no base64, and what is too large.
    pub(crate) fn check(&self, field: &str) -> Result<(), Failure> {
        self.bytes(field).map(drop)
    }

    fn bytes(&self, field: &str) -> Result<Vec<u8>, Failure> {
        let text = self.0.expose_secret();
        if text.len() <= VALUE_CHARACTERS_MAX {
            let bytes = STANDARD.decode(text);
            // The error would quote a part of the value.
            let bytes = bytes.map_err(|_| Failure::invalid(field, "the value must be base64"))?;
            if bytes.len() <= VALUE_BYTES_MAX {
                return Ok(bytes);
            }
        }
        let text = format!("a secret has at most {VALUE_BYTES_MAX} bytes");
        Err(Failure::new(Reason::TooLarge, text.clone()).violation(field, text))
    }
}

impl From<wire::Secret> for Secret {
    fn from(secret: wire::Secret) -> Self {
        Self {
            created_at: secret.created_at.as_ref().and_then(from_wire),
            name: secret.name,
            version: secret.version,
        }
    }
}

/// The secrets of a project, without their values.
pub(crate) async fn list(app: &App, who: &Identity, project: &str) -> Result<Vec<Secret>, Failure> {
    let project_id = projects::readable(app, who, project).await?.id.to_string();
    let request = wire::ListSecretsRequest { project_id };
    let answer = app.clients.secrets(who)?.list_secrets(request).await;
    let secrets = answer.map_err(refused(ORCHESTRATOR))?.into_inner().secrets;
    Ok(secrets.into_iter().map(Secret::from).collect())
}

/// Makes a new version of a secret; the services that use it are recreated.
pub(crate) async fn put(
    app: &App,
    who: &Identity,
    project: &str,
    name: &str,
    value: Value,
) -> Result<Secret, Failure> {
    let target = projects::changeable(app, who, project).await?;
    put_into(app, who, &target, name.to_owned(), value).await
}

/// As [`put`], into a project that was found to be changeable.
pub(crate) async fn put_into(
    app: &App,
    who: &Identity,
    target: &Target,
    name: String,
    value: Value,
) -> Result<Secret, Failure> {
    let project_id = target.id.to_string();
    let request = wire::PutSecretRequest { project_id, name, value: value.bytes("value")? };
    let answer = app.clients.secrets(who)?.put_secret(request).await;
    let secret = Secret::from(answer.map_err(refused(ORCHESTRATOR))?.into_inner());
    let act = Act::new("secret.put", &secret.name, &secret.name).of(Some(target.id));
    audit::record_done(app, who, act.made(&json!({ "version": secret.version }))).await;
    Ok(secret)
}

/// Deletes a secret.
pub(crate) async fn delete(
    app: &App,
    who: &Identity,
    project: &str,
    name: &str,
) -> Result<(), Failure> {
    let target = projects::changeable(app, who, project).await?;
    let project_id = target.id.to_string();
    let request = wire::DeleteSecretRequest { project_id, name: name.to_owned() };
    let answer = app.clients.secrets(who)?.delete_secret(request).await;
    answer.map_err(refused(ORCHESTRATOR))?;
    let act = Act::new("secret.delete", name, name).of(Some(target.id));
    audit::record_done(app, who, act).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_bounded_and_never_shown() {
        let value = |text: String| Value(SecretString::from(text));
        assert_eq!(Value::typed("pass word").bytes("value").unwrap(), b"pass word");
        let failure = value("hunter2!".to_owned()).check("value").unwrap_err();
        assert!(!failure.message.contains("hunter"), "{failure}");
        let most = STANDARD.encode(vec![7; VALUE_BYTES_MAX]);
        assert!(value(most).check("value").is_ok());
        let more = STANDARD.encode(vec![7; VALUE_BYTES_MAX + 1]);
        assert_eq!(value(more).check("value").unwrap_err().reason, Reason::TooLarge);
        assert!(!format!("{:?}", Value::typed("hunter2")).contains("hunter2"));
    }
}
