//! The one error type, and the closed table of its codes.
//!
//! An [`Error`] has two halves that never mix: what the client reads (code, detail, fields) and what the log reads (the
//! source). `http::problem` turns the first half into `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

macro_rules! codes {
    ($($variant:ident $code:literal $status:literal $title:literal $meaning:literal;)+) => {
        /// Why a request was refused. The table is closed: clients may match on every code there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// Every code, in the order of its status.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the body's `code` and at the end of its `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The status of the answer.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The short, unchanging summary in the body's `title`.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What it means and what the caller can do, for `GET /problems/{code}`.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

codes! {
    MalformedJson "malformed_json" 400 "Malformed JSON"
        "The body is not well-formed JSON (RFC 8259), or gives a member twice.";
    MalformedRequest "malformed_request" 400 "Malformed request"
        "The request cannot be read: for example two Authorization headers, or a header that is not valid.";
    InvalidCursor "invalid_cursor" 400 "Invalid cursor"
        "The cursor was not issued for this list with this sort and these filters. Start again without one.";
    AuthenticationRequired "authentication_required" 401 "Authentication required"
        "Send a session access token or an API key as Authorization: Bearer.";
    InvalidToken "invalid_token" 401 "Invalid token"
        "The credential is unknown, expired, revoked or no longer good. Refresh the session, log in, or use another key.";
    InvalidCredentials "invalid_credentials" 401 "Invalid credentials"
        "There is no account with this login and password.";
    ReauthenticationRequired "reauthentication_required" 401 "Re-authentication required"
        "Send current_password, or call POST /auth/reauthenticate first: the password was last shown too long ago.";
    InsufficientScope "insufficient_scope" 403 "Insufficient scope"
        "The credential may not do this; the challenge names the scope that is missing.";
    SessionRequired "session_required" 403 "Session required"
        "Only a person's session may do this; an API key never may.";
    ApiKeyRequired "api_key_required" 403 "API key required"
        "Only an API key may do this; a session may not.";
    ForbiddenRole "forbidden_role" 403 "Forbidden for this role"
        "The caller's role does not allow this.";
    EmailUnverified "email_unverified" 403 "E-mail address not verified"
        "The password is right, but the address is not proven yet. Follow the mailed link, or ask for another.";
    AccountDisabled "account_disabled" 403 "Account disabled"
        "An administrator has disabled this account.";
    CrossSiteRequest "cross_site_request" 403 "Cross-site request"
        "The refresh cookie is only taken from pages of the service's own site or of a listed origin.";
    IpNotAllowed "ip_not_allowed" 403 "Address not allowed"
        "The API key may not be used from this network address.";
    NotFound "not_found" 404 "Not found"
        "There is no such thing, or the caller may not see it.";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed"
        "The path exists, but not with this method; Allow lists those it has.";
    RequestTimeout "request_timeout" 408 "Request timeout"
        "The request did not arrive in time.";
    UsernameTaken "username_taken" 409 "Username taken"
        "Somebody has this username, or gave it up less than 30 days ago.";
    SlugTaken "slug_taken" 409 "Slug taken"
        "Another organisation has this slug.";
    AlreadyMember "already_member" 409 "Already a member"
        "This person is a member of the organisation already.";
    AlreadyInvited "already_invited" 409 "Already invited"
        "This address has a pending invitation into the organisation already.";
    AlreadyRequested "already_requested" 409 "Already requested"
        "There is a pending request to join this organisation already.";
    LastOwner "last_owner" 409 "Last owner"
        "An organisation must keep an owner. Make somebody else owner first.";
    InvalidState "invalid_state" 409 "Invalid state"
        "What is asked for is no longer, or not yet, possible in the present state.";
    KeyNeverExpires "key_never_expires" 409 "Key never expires"
        "A key without an expiry cannot be extended.";
    LimitReached "limit_reached" 409 "Limit reached"
        "There are as many as there may be. Delete one first.";
    IdempotencyInProgress "idempotency_in_progress" 409 "Request in progress"
        "The first request with this Idempotency-Key is still running. Try again shortly.";
    LinkExpiredOrUsed "link_expired_or_used" 410 "Link expired or used"
        "This mailed link does not work: it was used, replaced, has expired, or never existed.";
    PreconditionFailed "precondition_failed" 412 "Precondition failed"
        "It was changed since it was read: If-Match does not match. Read it again.";
    PayloadTooLarge "payload_too_large" 413 "Payload too large"
        "The body is larger than this endpoint takes.";
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type"
        "The Content-Type, or a Content-Encoding, is not one this endpoint takes.";
    ValidationError "validation_error" 422 "Validation failed"
        "One or more members or parameters are not valid; errors lists them all.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "Idempotency key reused"
        "This Idempotency-Key was used for another request. Use a new one for each request.";
    RateLimited "rate_limited" 429 "Too many requests"
        "Too many attempts. Retry-After says in how many seconds to try again.";
    HeadersTooLarge "headers_too_large" 431 "Headers too large"
        "The request's headers are larger than the service takes.";
    InternalError "internal_error" 500 "Internal error"
        "Something went wrong here. The request_id helps the operator to find out what.";
    Unavailable "unavailable" 503 "Unavailable"
        "The service cannot answer right now. Retry-After says in how many seconds to try again.";
}

/// What is wrong with one member or parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    /// It must be given.
    Required,
    /// It has another JSON type than it should.
    InvalidType,
    /// It does not have the form it should.
    InvalidFormat,
    /// It has fewer characters or items than it must.
    TooShort,
    /// It has more characters or items than it may.
    TooLong,
    /// It is a number or an instant beyond the limits.
    OutOfRange,
    /// There is no such member or parameter.
    UnknownField,
    /// It is not the present password.
    Incorrect,
    /// It differs from the one it repeats.
    Mismatch,
    /// It is too easily guessed.
    TooWeak,
    /// It contains data of the person.
    ContainsUserInfo,
    /// It is what it is already.
    SameAsCurrent,
    /// It is well-formed, but not among what is allowed here.
    NotAllowed,
}

impl FieldCode {
    /// The word in the body.
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

/// What is wrong with a value, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which rule it breaks.
    pub code: FieldCode,
    /// One sentence for the person who reads it.
    pub detail: Cow<'static, str>,
    /// The limits of the rule, for software that words it itself.
    pub params: Map<String, Value>,
}

impl Invalid {
    /// A broken rule without limits.
    pub fn new(code: FieldCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            params: Map::new(),
        }
    }

    /// Adds a limit, such as `min`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// At the JSON Pointer (RFC 6901, as a URI fragment) of the body, such as `#/name`.
    pub fn at(self, pointer: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Pointer(pointer.into()),
            invalid: self,
        }
    }

    /// At the query parameter `name`.
    pub fn at_parameter(self, name: impl Into<String>) -> FieldError {
        FieldError {
            location: ErrorLocation::Parameter(name.into()),
            invalid: self,
        }
    }
}

/// Where in a request a value stands.
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
    /// Where.
    pub location: ErrorLocation,
    /// What.
    pub invalid: Invalid,
}

/// What else an error's answer says, beyond code and detail.
#[derive(Debug, Default)]
pub struct Extras {
    /// Seconds for `Retry-After` (RFC 9110 §10.2.3).
    pub retry_after: Option<u64>,
    /// Methods for `Allow` (RFC 9110 §10.2.1).
    pub allow: Option<String>,
    /// The missing scopes, for the challenge of RFC 6750 §3, separated by spaces.
    pub scope: Option<String>,
    /// `RateLimit-Policy` and `RateLimit` fields.
    pub rate_limit: Option<(String, String)>,
}

/// Why a request failed: one half for the client, one for the log.
#[derive(Debug)]
pub struct Error {
    code: Code,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    extras: Box<Extras>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error whose detail is the code's own meaning.
    pub fn new(code: Code) -> Self {
        Self::with_detail(code, code.meaning())
    }

    /// An error with a detail of its own; one sentence without anything the client sent in secret.
    pub fn with_detail(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            extras: Box::default(),
            source: None,
        }
    }

    /// 422 with all that is wrong.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let detail = match fields.len() {
            1 => Cow::Borrowed("1 field is not valid."),
            n => Cow::Owned(format!("{n} fields are not valid.")),
        };
        Self {
            fields,
            ..Self::with_detail(Code::ValidationError, detail)
        }
    }

    /// 422 with one thing that is wrong.
    pub fn field(pointer: &str, invalid: Invalid) -> Self {
        Self::validation(vec![invalid.at(pointer)])
    }

    /// 404, the same for whatever is not there or not to be seen.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// 500; the source goes to the log, the client learns nothing of it.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::InternalError)
        }
    }

    /// 503 with `Retry-After`; the source goes to the log.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(Code::Unavailable)
        }
        .retry_after(1)
    }

    /// 429 with `Retry-After` and the fields of the exhausted policy.
    pub fn rate_limited(limit: u64, window_seconds: u64, retry_after: u64) -> Self {
        let mut error = Self::new(Code::RateLimited).retry_after(retry_after);
        error.extras.rate_limit = Some((
            format!("\"default\";q={limit};w={window_seconds}"),
            format!("\"default\";r=0;t={retry_after}"),
        ));
        error
    }

    /// Says when to try again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.extras.retry_after = Some(seconds);
        self
    }

    /// Says which methods the path has.
    #[must_use]
    pub fn allow(mut self, methods: impl Into<String>) -> Self {
        self.extras.allow = Some(methods.into());
        self
    }

    /// 403 that names what is missing, separated by spaces.
    pub fn insufficient_scope(scope: impl Into<String>) -> Self {
        let mut error = Self::new(Code::InsufficientScope);
        error.extras.scope = Some(scope.into());
        error
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the client reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is wrong with which member.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// What else the answer says.
    pub const fn extras(&self) -> &Extras {
        &self.extras
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
