mod configuration;
mod document;
mod failures;
mod idempotency;
mod layout;
mod pages;
mod protocol;
mod schema;
