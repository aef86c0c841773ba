//! How the fields of a spec look in JSON that it has no form of its own for.

/// Lengths of time, as protobuf's own JSON has them: `"2.5s"`.
pub mod length {
    use prost_types::Duration;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        length: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match length {
            Some(length) => serializer.serialize_str(&length.to_string()),
            None => serializer.serialize_none(),
        }
    }

    /// # Errors
    /// When it is no length of time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let length = text.parse().map_err(|_| {
            D::Error::custom(format!("{text:?} is no length of time such as \"2.5s\""))
        })?;
        Ok(Some(length))
    }
}

/// Bytes, in base64.
pub mod bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// # Errors
    /// When it is no base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| D::Error::custom("must be base64"))
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;

    use crate::orchestrator::v1::{ConfigSpec, Probe, StackSpec, Stop, TcpProbe, probe::Kind};

    #[test]
    fn a_spec_survives_json() {
        let probe = Probe {
            kind: Some(Kind::Tcp(TcpProbe { port: 80 })),
            period: Some(Duration { seconds: 2, nanos: 500_000_000 }),
            ..Probe::default()
        };
        let text = serde_json::to_string(&probe).expect("JSON");
        assert!(text.contains(r#""kind":{"tcp":{"port":80}}"#), "{text}");
        assert!(text.contains(r#""deadline":null"#), "{text}");
        assert_eq!(serde_json::from_str::<Probe>(&text).expect("a probe"), probe);
        let config = ConfigSpec { name: "a".to_owned(), content: vec![0, 255] };
        let stack = StackSpec { configs: vec![config], ..StackSpec::default() };
        let text = serde_json::to_string(&stack).expect("JSON");
        assert_eq!(serde_json::from_str::<StackSpec>(&text).expect("a stack"), stack);
    }

    #[test]
    fn what_is_no_spec_is_refused() {
        for text in [r#"{"service":[]}"#, r#"{"configs":[{"content":"%"}]}"#] {
            assert!(serde_json::from_str::<StackSpec>(text).is_err(), "{text}");
        }
        for grace in ["1", "s", "-", "1h", "soon"] {
            let text = format!(r#"{{"grace":"{grace}"}}"#);
            assert!(serde_json::from_str::<Stop>(&text).is_err(), "{text}");
        }
    }
}
