mod configuration;
mod document;
mod failures;
mod house;
mod idempotency;
mod link_pages;
mod protocol;
mod schema;
