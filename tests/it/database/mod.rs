//! How the service works with the database it is given: its roles, a pooler in between, a server that doesn't respond.

mod pooler;
mod roles;
mod schema;
mod unresponsive;
