//! Keyward is a self-hosted account service. People register, log in, and belong to organisations; API keys let machines act for
//! them. Other services ask Keyward whether a session or an API key is valid and what it may do.
//!
//! # Modules
//!
//! A module imports only modules below its own row; a test (`tests/it/contract/layout.rs`) reads this table and checks it.
//!
//! | module | what it contains |
//! |---|---|
//! | [`cli`] | the command line: serve, migrate, manage users, generate signing keys, print the OpenAPI document |
//! | [`app`] | assembles all slices: state, routes, OpenAPI document, authentication of requests, background work |
//! | [`gateway`] | endpoints for gateways and other services that verify credentials |
//! | [`admin`] | endpoints for platform admins |
//! | [`account::personal_data`] | export and deletion of everything about a person |
//! | [`account::password`] | change or reset the password |
//! | [`account::email`] | change the e-mail address |
//! | [`api_keys`] | create, list, change, rotate, revoke and verify API keys |
//! | [`orgs`] | organisations, their members, invitations and requests to join |
//! | [`sessions`] | log in, refresh, log out, switch the active organisation |
//! | [`account`] | register; profile and avatar of the caller |
//! | [`orgs::membership`] | which user has which role in which organisation |
//! | [`users`] | the table of users |
//! | [`one_time_tokens`] | the tokens of mailed links |
//! | [`audit`] | the audit log |
//! | [`notifications`], [`images`] | notifications, their preferences and the stream of new ones; download of avatars and logos |
//! | [`state`] | the services that every handler can use |
//! | [`notifications::email`], [`images::resize`] | rendering, queueing and delivery of e-mail; validation and scaling of images |
//! | [`notifications::text`] | the texts of notifications and e-mails in every language |
//! | [`notifications::event`] | the events that people are notified of, and the links in e-mails |
//! | [`credential_cache`] | verified API keys and sessions, so that most requests need no query |
//! | [`auth`] | principals, permissions, scopes, passwords, access tokens |
//! | [`http`] | what is the same for every endpoint: middleware, reading requests, responses, problems, idempotency |
//! | [`db`] | connection pool, transactions, migrations, change notifications |
//! | [`blocking_pool`] | threads for database queries, for hashing and judging passwords, and for images |
//! | [`observability`] | log and metrics |
//! | [`config`] | the settings |
//! | [`values`] | types of fields, ids, timestamps, pages; no HTTP |
//! | [`secret`] | tokens, their hashes, keyed MACs |
//! | [`error`], [`clock`] | the error type and its codes; the current time |
//!
//! A module with tables and endpoints of its own, such as [`api_keys`], [`sessions`] or [`orgs::membership`], is a *slice*. Slices
//! have the same files: `routes` (request and response types, handlers) → `operations` (one function per use case, in one
//! transaction) → `store` (every query on the tables of the slice) → `model` (domain types and rules).
//!
//! # How a request is handled
//!
//! 1. `http/middleware.rs` `with_request_context`: request id, client, timeout; turns every error into a problem.
//! 2. CORS, then `app/authenticate.rs` `authenticate`: looks the credential up (usually in the cache) and stores a principal.
//! 3. The handler's arguments: `Caller<…>` checks kind and permission of the principal, `Path<…>` parses ids, `OrgMember<…>` checks
//!    membership and role, `Idempotent` replays a stored response. Each can end the request with an error.
//! 4. The handler reads the body into domain types, and calls one operation in one transaction (`auth/change.rs`
//!    `transaction`). The body may come long after the head, so the transaction begins by locking the caller's account and
//!    checking the credential again (`app/recheck.rs` `recheck`).
//! 5. The operation locks and changes rows, in the order that [`db`] documents, and inserts audit records, notifications and
//!    e-mails. The commit wakes the mailer (`app/worker.rs` `spawn`), and PostgreSQL notifies all instances which entries of
//!    their caches are stale.
//!
//! `POST /api-keys`: `api_keys/routes/create.rs` `create_api_key` reads the fields and checks scopes and password →
//! `api_keys/operations.rs` `create` counts the keys, generates the secret, inserts audit record and notification →
//! `api_keys/store/mod.rs` `insert`. The response contains the secret; the database only its hash.
//!
//! `POST /api-keys/verify`: `api_keys/routes/verify.rs` `verify_api_key` → `api_keys/verify.rs` `verify` finds the key by the hash
//! of its secret, in the cache or else in the database (`api_keys/store/by_secret.rs` `find_by_secret`), checks status, IP
//! address and scopes in this order, and counts the use, which `api_keys/usage.rs` `flush` writes to the database later.
//!
//! `POST /invitations/{invitation_id}/accept`: `orgs/admission/routes.rs` `accept_invitation` → `orgs/admission/operations.rs`
//! `lock_inviter` locks the organisation and names the inviter's account, which is locked together with the caller's →
//! `accept_by_id` checks that the inviter could still invite, marks the invitation as accepted →
//! `orgs/membership/store.rs` `insert`.
//!
//! # Glossary
//!
//! - **Access token**: a signed JWT that names a session; valid for ten minutes by default.
//! - **Active organisation**: the organisation in which a session or an API key acts; without one it acts for the person alone.
//! - **Admission**: a person becomes a member, by an invitation or by an approved request to join.
//! - **Caller**: the principal of the current request, after the checks of the handler's first argument.
//! - **Credential**: what a request is authenticated with: an access token or an API key.
//! - **Credential cache**: verified credentials in memory. An entry is valid until something that it depends on changes.
//! - **Introspection**: another service looks up the owner and the permissions of a credential (RFC 7662).
//! - **Invalidation log**: the versions of recently changed users, organisations, keys and sessions. A cache entry that was read before
//!   the last change of what it depends on is stale.
//! - **Membership**: the row that gives a user a role in an organisation.
//! - **Merge patch**: the body of a PATCH; absent fields stay as they are (RFC 7396).
//! - **One-time token**: the secret in a mailed link; it works once.
//! - **Outbox**: e-mails that were inserted in the transaction that causes them, and are delivered after its commit.
//! - **Platform administrator**: a user who manages all users. This gives no role in an organisation.
//! - **Principal**: the result of authentication: user, platform role, active organisation, credential with its scopes.
//! - **Problem**: the body of an error response (RFC 9457).
//! - **Proof of the password**: `current_password` in the body, or a login or re-authentication within the last ten minutes.
//! - **Refresh token**: is exchanged for a new access token and a new refresh token of its session.
//! - **Registration**: an address with a password that becomes the account's once the address is verified.
//! - **Scope**: a name for something that an API key may do, such as `keys:verify`.
//! - **Server secret**: the key of all MACs, such as those in cursors; one-time tokens and refresh tokens are derived from it.
//! - **Slug**: the unique short name of an organisation.
//! - **Throttle**: the limit of wrong passwords per account and network.
//! - **Verdict**: the result of checking an API key: valid, or the first check that it fails.
#![forbid(unsafe_code)]

/// jemalloc is faster than glibc at many small allocations on many threads: with it and link-time optimisation the constant
/// handler of `hot_path` serves 190,000 instead of 165,000 requests/s. It returns unused memory to the system
/// (`.cargo/config.toml` sets after how long). With musl it cannot run its background threads.
#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

pub mod account;
pub mod admin;
pub mod api_keys;
pub mod app;
pub mod audit;
pub mod auth;
pub mod blocking_pool;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential_cache;
pub mod db;
pub mod error;
pub mod gateway;
pub mod http;
pub mod images;
pub mod notifications;
pub mod observability;
pub mod one_time_tokens;
pub mod orgs;
pub mod secret;
pub mod sessions;
pub mod state;
pub mod users;
pub mod values;
