//! The codes of errors, each with its status and its texts.

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
