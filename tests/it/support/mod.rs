//! Helpers of all tests: a running app with a database of its own, users, organisations, API keys, a mailbox.

mod address;
mod api_keys;
mod app;
mod fixture;
mod held;
mod mailbox;
mod operation;
mod orgs;
mod people;
mod picture;
mod postgres;
mod programs;
mod proxy;
mod reply;
mod source_tree;
mod wait;

pub use address::free_address;
pub use api_keys::{Key, ScopesFile};
pub use app::{TestApp, config_with};
pub use fixture::Fixture;
pub use held::{HeldRequest, code_of};
pub use operation::{Operation, document};
pub use people::{PASSWORD, Person};
pub use picture::png;
pub use programs::{find_program, print_skipped};
pub use proxy::Proxy;
pub use reply::{Call, Reply, redacted};
pub use source_tree::{ModulePath, SourceTree, source_files, source_folder};
pub use wait::{eventually, wait_until};
