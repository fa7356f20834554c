//! What tests are written with: an app of one's own, people, a mailbox.

mod app;
mod mailbox;
mod orgs;
mod people;
mod picture;
mod postgres;
mod reply;
mod source_tree;

pub use app::{TestApp, config_with};
pub use people::{PASSWORD, Person};
pub use picture::png;
pub use reply::{Call, Reply};
pub use source_tree::{ModulePath, SourceTree, source_folder};
