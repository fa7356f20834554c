mod configuration;
mod document;
mod failures;
mod house;
mod idempotency;
mod pages;
mod protocol;
mod schema;
