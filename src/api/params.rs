//! The query of a request, read the way Kubernetes reads it.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;

use super::errors::{ApiError, Result};
use super::selectors::Selectors;
use crate::registry::WriteOptions;

/// Query parameters by name; of a repeated one the last counts. Unknown ones are ignored, as Kubernetes does.
#[derive(Debug, Clone, Default)]
pub struct Params {
    last: HashMap<String, String>,
    all: Vec<(String, String)>,
}

/// How unknown fields are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Refused. The default here: nothing is ignored silently.
    Strict,
    /// Accepted, with a warning.
    Warn,
    /// Accepted.
    Ignore,
}

impl Params {
    /// Reads the query of `uri`.
    pub fn read(uri: &Uri) -> Result<Self> {
        let Query(all) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| ApiError::bad_request(format!("cannot read the query: {error}")))?;
        Ok(Self { last: all.iter().cloned().collect(), all })
    }

    /// The text of a parameter, if it is there and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.last.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// All values of a parameter that may be repeated, in order.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a boolean parameter is on. Kubernetes takes `true`, `1` and the bare name.
    pub fn flag(&self, name: &str) -> bool {
        self.last.get(name).is_some_and(|text| matches!(text.as_str(), "" | "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::bad_request(format!("{name}={text:?} is no number")));
        self.text(name).map(parse).transpose()
    }

    /// `timeoutSeconds`.
    pub fn timeout(&self) -> Result<Option<Duration>> {
        Ok(self.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// `labelSelector` and `fieldSelector`.
    pub fn selectors(&self) -> Result<Selectors> {
        Selectors::parse(self.text("labelSelector").unwrap_or(""), self.text("fieldSelector").unwrap_or(""))
            .map_err(ApiError::bad_request)
    }

    /// `dryRun=All`.
    pub fn dry_run(&self) -> Result<bool> {
        match self.text("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(ApiError::bad_request(format!("dryRun={other:?} is not known, only \"All\" is"))),
        }
    }

    /// `fieldValidation`.
    pub fn field_validation(&self) -> Result<FieldValidation> {
        match self.text("fieldValidation") {
            None | Some("Strict") => Ok(FieldValidation::Strict),
            Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some(other) => {
                Err(ApiError::bad_request(format!("fieldValidation={other:?} is not known: Strict, Warn and Ignore are")))
            }
        }
    }

    /// All of it that a write needs.
    pub fn write_options(&self, by: &str) -> Result<WriteOptions> {
        Ok(WriteOptions {
            by: by.to_owned(),
            dry_run: self.dry_run()?,
            lenient: self.field_validation()? != FieldValidation::Strict,
            ..WriteOptions::default()
        })
    }
}
