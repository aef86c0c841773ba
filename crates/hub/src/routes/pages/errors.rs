//! What is wrong with a form, beside the fields at fault.

use proto::Failure;

/// The faults of a form.
#[derive(Debug, Default)]
pub(super) struct Errors {
    general: Option<String>,
    fields: Vec<(String, String)>,
}

impl Errors {
    /// Places a failure beside those of the form's fields that it names; the rest goes on top.
    pub(super) fn new(failure: Failure, known: &[&str]) -> Self {
        crate::error::log(&failure);
        let fields: Vec<(String, String)> = failure
            .violations
            .iter()
            .filter_map(|violation| {
                // `schedule.zone` belongs to `zone`, and `schedule.expression` to `schedule`.
                let mut names = violation.field.rsplit('.');
                let field = names.find_map(|name| known.iter().find(|known| **known == name))?;
                Some(((*field).to_owned(), violation.description.clone()))
            })
            .collect();
        let general = fields.is_empty().then_some(failure.message);
        Self { general, fields }
    }

    /// What belongs to no field.
    pub(super) fn general(&self) -> Option<&String> {
        self.general.as_ref()
    }

    /// What is wrong with a field.
    pub(super) fn of(&self, field: &str) -> Option<&String> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use proto::Reason;

    use super::*;

    #[test]
    fn a_fault_stands_beside_its_field_or_on_top() {
        let errors = Errors::new(Failure::invalid("schedule.expression", "bad"), &["schedule"]);
        assert_eq!(errors.of("schedule").unwrap(), "bad");
        assert!(errors.general().is_none());
        let zone = Failure::invalid("schedule.zone", "bad");
        let errors = Errors::new(zone, &["schedule", "zone"]);
        assert!(errors.of("zone").is_some() && errors.of("schedule").is_none());
        let errors = Errors::new(Failure::new(Reason::Conflict, "taken"), &["name"]);
        assert_eq!(errors.general().unwrap(), "taken");
    }
}
