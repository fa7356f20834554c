//! The operations of the OpenAPI document.

use keyward::app;
use serde_json::{Value, json};

/// The OpenAPI document with the default settings.
pub fn document() -> Value {
    let config = keyward::config::Config::from_environment([]).unwrap();
    serde_json::from_str(&app::document(&config).to_json().unwrap()).unwrap()
}

/// One operation of the OpenAPI document.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `operationId`.
    pub id: String,
    pub method: String,
    /// The path with the names of its parameters in braces.
    pub pattern: String,
    /// The Operation Object.
    pub object: Value,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)
    }
}

impl Operation {
    pub fn all() -> Vec<Self> {
        let document = document();
        let mut all = Vec::new();
        for (pattern, item) in document["paths"].as_object().unwrap() {
            for (method, object) in item.as_object().unwrap() {
                if ["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                    let id = object["operationId"].as_str();
                    all.push(Self {
                        id: id
                            .unwrap_or_else(|| panic!("{method} {pattern} has no operationId"))
                            .to_owned(),
                        method: method.to_uppercase(),
                        pattern: pattern.clone(),
                        object: object.clone(),
                    });
                }
            }
        }
        all
    }

    fn schemes(&self) -> impl Iterator<Item = &Value> {
        self.object["security"].as_array().into_iter().flatten()
    }

    /// Whether a request may be authenticated with this security scheme.
    pub fn takes(&self, scheme: &str) -> bool {
        self.schemes().any(|alternative| alternative.get(scheme).is_some())
    }

    pub fn needs_credential(&self) -> bool {
        self.schemes().next().is_some() && self.schemes().all(|alternative| alternative != &json!({}))
    }

    /// Whether a request may have a body of this media type.
    pub fn accepts(&self, media_type: &str) -> bool {
        self.object["requestBody"]["content"].get(media_type).is_some()
    }
}
