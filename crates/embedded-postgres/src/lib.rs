//! A private PostgreSQL server for an application, started from the server programs that are installed on the machine.
//!
//! ```no_run
//! use embedded_postgres::{EmbeddedPostgres, Options};
//!
//! let postgres = EmbeddedPostgres::start(&Options::new("/var/lib/shop").name("shop"))?;
//! let url = postgres.database_url();
//! // Connect with any client that supports Unix sockets.
//! postgres.stop()?;
//! # Ok::<(), embedded_postgres::Error>(())
//! ```
//!
//! The README describes the files in the data folder, the locks, the use by root, and the limits.
//!
//! # Guarantees
//!
//! - A cluster is complete or absent: it is created under a temporary name, synced and renamed.
//! - A new cluster is never created while an existing one is out of reach, moved or of another version.
//! - A process never stops a server that another process uses.
//! - A server that ends while it is used is started again; one whose last process is killed is stopped.
//!
//! # Modules
//!
//! Each module uses only modules in the rows below its own, or to its right. A test compares this table with the imports.
//!
//! | module | content |
//! |---|---|
//! | `postgres` | [`EmbeddedPostgres`]: the order of the steps of start and stop |
//! | `watchdog` | the process that stops the server if the application is killed |
//! | `server` | start, find and stop the server process |
//! | `cluster` | create the cluster, set its password |
//! | `lock`, `pid_file`, `settings`, `programs`, `command` | one mechanism each |
//! | `socket` | the socket and its directory |
//! | `data_dir` | the paths in the data folder and the location of the cluster |
//! | `server_user` | the operating system user that runs the server |
//! | `server_log`, `password`, `version`, `url` | one file or format each |
//! | `options`, `random`, `files`, `error` | [`Options`], [`Error`], helpers |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(not(unix))]
compile_error!("embedded-postgres uses Unix sockets, users and signals");

mod cluster;
mod command;
mod data_dir;
mod error;
mod files;
mod lock;
mod options;
mod password;
mod pid_file;
mod postgres;
mod programs;
mod random;
mod server;
mod server_log;
mod server_user;
mod settings;
mod socket;
mod url;
mod version;
mod watchdog;

pub use error::Error;
pub use options::Options;
pub use postgres::EmbeddedPostgres;

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
