//! Messages that carry a secret show everything but that.

use std::fmt;

use crate::orchestrator::v1::PutSecretRequest;

impl fmt::Debug for PutSecretRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutSecretRequest")
            .field("project_id", &self.project_id)
            .field("name", &self.name)
            .field("value", &format_args!("[{} bytes]", self.value.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_does_not_show_its_value() {
        let request = PutSecretRequest {
            project_id: "p".to_owned(),
            name: "password".to_owned(),
            value: b"hunter2".to_vec(),
        };
        let shown = format!("{request:?}");
        assert!(shown.contains("[7 bytes]") && shown.contains("password"), "{shown}");
        assert!(!shown.contains("hunter") && !shown.contains("104"), "{shown}");
    }
}
