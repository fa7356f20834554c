//! The error type of the whole service, and the table of its codes.
//!
//! An [`Error`] has two parts that never mix: code, detail and fields are sent to the client; the source is logged.
//! `http/problem.rs` writes the first part as `application/problem+json` (RFC 9457).

mod code;
mod field;

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

pub use code::Code;
pub use field::{ErrorLocation, FieldCode, FieldError, Invalid, MAX_FIELD_ERRORS};

/// Headers of an error response.
#[derive(Debug, Default)]
pub struct ErrorHeaders {
    /// Seconds for `Retry-After` (RFC 9110 §10.2.3).
    pub retry_after: Option<u64>,
    /// Methods for `Allow` (RFC 9110 §10.2.1).
    pub allow: Option<String>,
    /// The missing scopes, for the challenge of RFC 6750 §3, separated by spaces.
    pub scope: Option<String>,
    /// `RateLimit-Policy` and `RateLimit` fields.
    pub rate_limit: Option<(String, String)>,
}

/// A failed request.
#[derive(Debug)]
pub struct Error {
    code: Code,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    headers: Box<ErrorHeaders>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    account: Option<Uuid>,
}

impl Error {
    /// The detail is the code's general meaning.
    pub fn new(code: Code) -> Self {
        Self::with_detail(code, code.meaning())
    }

    /// `detail` describes in a sentence or two what is wrong and what to do. It must not repeat a secret that the client sent.
    pub fn with_detail(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            headers: Box::default(),
            source: None,
            account: None,
        }
    }

    /// 422 with every field that is not valid.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        Self::validation_of_many(fields, 0)
    }

    /// 422 with fields that are not valid, and the number of others.
    pub fn validation_of_many(fields: Vec<FieldError>, omitted: usize) -> Self {
        let detail = match (fields.len(), omitted) {
            (1, 0) => Cow::Borrowed("1 field is not valid."),
            (n, 0) => Cow::Owned(format!("{n} fields are not valid.")),
            (n, omitted) => Cow::Owned(format!(
                "{} fields are not valid; the first {n} are listed.",
                n + omitted
            )),
        };
        Self {
            fields,
            ..Self::with_detail(Code::ValidationError, detail)
        }
    }

    /// 422 with one field that is not valid.
    pub fn field(pointer: &str, invalid: Invalid) -> Self {
        Self::validation(vec![invalid.at(pointer)])
    }

    /// 404, both for a resource that does not exist and for one that the caller may not see.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// The error `code` instead of `not_found`. Other errors stay as they are: trouble with the database must not look like
    /// a wrong password or a used link.
    #[must_use]
    pub fn if_not_found(self, code: Code) -> Self {
        if self.code == Code::NotFound {
            Self::new(code)
        } else {
            self
        }
    }

    /// 500; `source` is logged and not sent.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::InternalError)
        }
    }

    /// 503 with `Retry-After`; `source` is logged and not sent.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Unavailable)
        }
        .retry_after(1)
    }

    /// 429 with `Retry-After`, `RateLimit-Policy` and `RateLimit`.
    pub fn rate_limited(policy: &str, limit: u64, window_seconds: u64, retry_after: u64) -> Self {
        let mut error = Self::new(Code::RateLimited).retry_after(retry_after);
        error.headers.rate_limit = Some((
            format!("\"{policy}\";q={limit};w={window_seconds}"),
            format!("\"{policy}\";r=0;t={retry_after}"),
        ));
        error
    }

    /// 429 for a request of a kind of which a user can make only `quota` at a time.
    pub fn too_many_at_once(policy: &str, quota: usize) -> Self {
        let detail = "Other requests of this kind are still running. Try again when one has finished.";
        let mut error = Self::with_detail(Code::RateLimited, detail).retry_after(1);
        error.headers.rate_limit = Some((
            format!("\"{policy}\";q={quota};qu=\"concurrent-requests\""),
            format!("\"{policy}\";r=0;t=1"),
        ));
        error
    }

    /// Sets the account that the failed request concerned, for the audit log.
    #[must_use]
    pub const fn about_account(mut self, id: Option<Uuid>) -> Self {
        self.account = id;
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.retry_after = Some(seconds);
        self
    }

    /// Sets `Allow`.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.headers.allow = Some(methods.into());
        self
    }

    /// 403 whose `WWW-Authenticate` names the missing scopes, separated by spaces.
    pub fn insufficient_scope(scope: impl Into<String>) -> Self {
        let mut error = Self::new(Code::InsufficientScope);
        error.headers.scope = Some(scope.into());
        error
    }

    pub const fn code(&self) -> Code {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    pub const fn account(&self) -> Option<Uuid> {
        self.account
    }

    pub const fn headers(&self) -> &ErrorHeaders {
        &self.headers
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
