//! A source's priority: a whole number from 1 to 10.

use std::{borrow::Cow, fmt::Display};

use proto::Failure;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// The least important.
pub(crate) const MIN: u32 = 1;
/// The most important.
pub(crate) const MAX: u32 = 10;

/// A priority that lies within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Priority(u32);

impl Priority {
    /// The number.
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Reads what a person typed.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let number = text.trim().parse::<i64>().ok();
        number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| Failure::invalid("priority", message(format!("{text:?}"))))
    }
}

fn message(got: impl Display) -> String {
    format!("priority is a whole number from {MIN} to {MAX} (10 comes first), not {got}")
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| D::Error::custom(message(value)))
    }
}

impl PartialSchema for Priority {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(MIN))
            .maximum(Some(MAX))
            .description(Some("10 comes first."))
            .into()
    }
}

impl ToSchema for Priority {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Priority")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_from_1_to_10_are_priorities() {
        for good in 1..=10 {
            assert_eq!(serde_json::from_str::<Priority>(&good.to_string()).unwrap().get(), good);
            assert_eq!(Priority::parse(&format!(" {good} ")).unwrap().get(), good);
        }
        for bad in ["0", "11", "-1", "5.5", "\"high\"", "null", "99999999999999999999"] {
            let error = serde_json::from_str::<Priority>(bad).unwrap_err().to_string();
            assert!(error.contains("from 1 to 10"), "{bad}: {error}");
        }
        assert_eq!(Priority::parse("high").unwrap_err().violations[0].field, "priority");
    }
}
