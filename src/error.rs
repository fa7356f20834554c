//! The error type of the whole service, and the table of its codes.
//!
//! An [`Error`] has two parts that never mix: code, detail and fields are sent to the client; the source is logged.
//! `http/problem.rs` writes the first part as `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $title:literal $meaning:literal;)+) => {
        /// The reason for which a request failed. Clients match on the code, so no code is ever renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// Every code, ordered by status.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The `code` of the problem, and the end of its `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The `title` of the problem.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// The meaning of the code, and what the caller can do: the text of `GET /problems/{code}`, and the `detail` of a problem
            /// that has no more specific one.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

codes! {
    MalformedJson "malformed_json" 400 "Malformed JSON"
        "The body is not well-formed JSON (RFC 8259), or contains a field twice. Correct the body and try again.";
    MalformedRequest "malformed_request" 400 "Malformed request"
        "A part of the request cannot be read, for example a header that is not valid or is sent twice. Correct the \
         request and try again.";
    InvalidCursor "invalid_cursor" 400 "Invalid cursor"
        "The cursor does not belong to this list with this sort and these filters. Request the first page, without a \
         cursor.";
    AuthenticationRequired "authentication_required" 401 "Authentication required"
        "This operation needs a credential. Send a session access token or an API key as Authorization: Bearer.";
    InvalidToken "invalid_token" 401 "Invalid token"
        "The credential is unknown, expired or revoked. Refresh the session, log in again, or use another API key.";
    InvalidCredentials "invalid_credentials" 401 "Invalid credentials"
        "No account has this login and password. Check both and try again.";
    ReauthenticationRequired "reauthentication_required" 401 "Re-authentication required"
        "This operation needs a recent authentication. Send current_password in the body, or call POST \
         /auth/reauthenticate first.";
    InsufficientScope "insufficient_scope" 403 "Insufficient scope"
        "The credential lacks a scope that this operation needs; WWW-Authenticate names it. Use a credential that \
         has it.";
    SessionRequired "session_required" 403 "Session required"
        "This operation needs a session; API keys may not perform it. Log in and use the access token of the session.";
    ApiKeyRequired "api_key_required" 403 "API key required"
        "This operation needs an API key; sessions may not perform it. Send the API key as Authorization: Bearer.";
    ForbiddenRole "forbidden_role" 403 "Forbidden for this role"
        "The caller's role does not allow this operation. Ask an owner or admin to do it, or to change the \
         role.";
    EmailUnverified "email_unverified" 403 "E-mail address not verified"
        "The password is correct, but the e-mail address is not verified yet. Open the link in the verification \
         e-mail, or request another one with POST /auth/register/resend.";
    AccountDisabled "account_disabled" 403 "Account disabled"
        "A platform admin or an operator has disabled this account. Contact the operator of the service.";
    CrossSiteRequest "cross_site_request" 403 "Cross-site request"
        "The refresh cookie is accepted only from pages of this site and of the origins in KEYWARD_CORS_ORIGINS.";
    IpNotAllowed "ip_not_allowed" 403 "IP address not allowed"
        "The API key may not be used from this IP address. Call from an allowed network, or change the allow-list of \
         the key.";
    NotFound "not_found" 404 "Not found"
        "The resource does not exist, or the caller may not see it.";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed"
        "The path exists, but does not support this method. The Allow header lists the methods that it supports.";
    RequestTimeout "request_timeout" 408 "Request timeout"
        "The body of the request did not arrive within 30 seconds. Try again.";
    UsernameTaken "username_taken" 409 "Username taken"
        "The username belongs to another account, or was given up less than 30 days ago. Choose another one.";
    SlugTaken "slug_taken" 409 "Slug taken"
        "The slug belongs to another organisation. Choose another one.";
    AlreadyMember "already_member" 409 "Already a member"
        "The user is already a member of the organisation.";
    AlreadyInvited "already_invited" 409 "Already invited"
        "The e-mail address already has a pending invitation to the organisation. Resend or revoke that invitation.";
    AlreadyRequested "already_requested" 409 "Already requested"
        "There already is a pending request to join this organisation. Wait for the decision, or withdraw the request.";
    LastOwner "last_owner" 409 "Last owner"
        "This would leave the organisation without an owner who can act. Make another member an owner first.";
    InvalidState "invalid_state" 409 "Invalid state"
        "The current state of the resource does not allow this operation. Read the resource again.";
    KeyNeverExpires "key_never_expires" 409 "Key never expires"
        "The API key has no expiry that could be extended.";
    LimitReached "limit_reached" 409 "Limit reached"
        "The maximum number is reached. Delete one first.";
    IdempotencyInProgress "idempotency_in_progress" 409 "Request in progress"
        "The first request with this Idempotency-Key is still running. Try again after the seconds in Retry-After.";
    LinkExpiredOrUsed "link_expired_or_used" 410 "Link expired or used"
        "The token of this mailed link is not valid: it was used, was replaced by a newer one, has expired, or never \
         existed. Request a new e-mail.";
    PreconditionFailed "precondition_failed" 412 "Precondition failed"
        "If-Match does not match: the resource was changed since it was read. Read it again and repeat the change.";
    PayloadTooLarge "payload_too_large" 413 "Payload too large"
        "The body is larger than this operation accepts. Send a smaller one.";
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type"
        "The operation does not accept this Content-Type or Content-Encoding.";
    ValidationError "validation_error" 422 "Validation failed"
        "One or more fields or parameters are not valid; errors lists them, up to 50. Correct them and try again.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "Idempotency key reused"
        "This Idempotency-Key was already used for a different request. Use a new key for each request.";
    RateLimited "rate_limited" 429 "Too many requests"
        "There were too many requests or attempts. Try again after the seconds in Retry-After; RateLimit-Policy names the limit.";
    HeadersTooLarge "headers_too_large" 431 "Headers too large"
        "The headers of the request are larger than the service accepts. Send fewer or shorter ones.";
    InternalError "internal_error" 500 "Internal error"
        "The service failed unexpectedly. Send the request_id to the operator, who finds the cause in the log.";
    Unavailable "unavailable" 503 "Unavailable"
        "The service is temporarily unable to handle the request. Try again after the seconds in Retry-After.";
}

/// The rule that a field or parameter breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    Required,
    InvalidType,
    InvalidFormat,
    /// Too few characters or items.
    TooShort,
    /// Too many characters or items.
    TooLong,
    /// A number or an instant outside of its limits.
    OutOfRange,
    UnknownField,
    /// Not the current password.
    Incorrect,
    /// Different from the field that it must repeat.
    Mismatch,
    /// A password that is easy to guess.
    TooWeak,
    /// A password that contains the e-mail address, the username or the like.
    ContainsUserInfo,
    /// Equal to the current value, which this operation would replace.
    SameAsCurrent,
    /// Well-formed, but not one of the allowed values.
    NotAllowed,
}

impl FieldCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::InvalidType => "invalid_type",
            Self::InvalidFormat => "invalid_format",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::UnknownField => "unknown_field",
            Self::Incorrect => "incorrect",
            Self::Mismatch => "mismatch",
            Self::TooWeak => "too_weak",
            Self::ContainsUserInfo => "contains_user_info",
            Self::SameAsCurrent => "same_as_current",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// A rule that a value breaks; [`FieldError`] adds the location of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub code: FieldCode,
    /// One sentence that a form can show beside the field.
    pub detail: Cow<'static, str>,
    /// The limits of the rule, for clients that have texts of their own.
    pub params: Map<String, Value>,
}

impl Invalid {
    pub fn new(code: FieldCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            params: Map::new(),
        }
    }

    /// Adds a parameter, such as `min`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// `pointer` is a JSON Pointer into the body, as a URI fragment (RFC 6901 §6): `#/name`.
    pub fn at(self, pointer: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Pointer(pointer.into()),
            invalid: self,
        }
    }

    pub fn at_parameter(self, name: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Parameter(name.into()),
            invalid: self,
        }
    }
}

/// How many invalid fields a response lists. Without a limit, an array of 32,000 wrong items in 64 KiB would cause 3 MB.
pub const MAX_FIELD_ERRORS: usize = 50;

/// The part of the request that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorLocation {
    /// JSON Pointer into the body, as a URI fragment.
    Pointer(String),
    /// Name of a query parameter.
    Parameter(String),
}

/// One entry of `errors` in a `validation_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub location: ErrorLocation,
    pub invalid: Invalid,
}

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
