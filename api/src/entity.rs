//! The one form of every error answer: `{"error":{"code":404,"message":"unit does not exist"}}`.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success, in both versions of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntity {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The HTTP status once more.
    pub code: u16,
    /// One line for people; may be empty.
    #[serde(default)]
    pub message: String,
}

impl ErrorEntity {
    /// An error with its HTTP status.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { error: ErrorBody { code, message: message.into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_that_fleet_had() {
        let entity = ErrorEntity::new(404, "unit does not exist");
        let json = r#"{"error":{"code":404,"message":"unit does not exist"}}"#;
        assert_eq!(serde_json::to_string(&entity).unwrap(), json);
        assert_eq!(serde_json::from_str::<ErrorEntity>(json).unwrap(), entity);
    }
}
