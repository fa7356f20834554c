//! The settings of the service.
//!
//! Each setting is an environment variable and a flag of the command line: `KEYWARD_PUBLIC_URL` and `--public-url`. A
//! flag overrides the environment, the environment overrides the file `.env`. An invalid value or an unknown
//! `KEYWARD_*` variable stops the program with one line that names the variable.
//!
//! The doc comments of [`Config`] are the texts of `keyward --help`. `.env.example` repeats them; a test compares both.

mod database_url;
mod dotenv;
mod environment;
mod kubernetes;
mod settings;
mod values;

pub use self::environment::{Setting, default_data_dir, environment, flags, one_line, settings};
pub use self::settings::{Config, DEFAULT_ADMIN_BIND};
pub use self::values::{BaseUrl, Feature, LogFormat, PasswordClass, Registration, Switch};
