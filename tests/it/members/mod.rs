mod appoint;
mod change;
mod disabled;
mod list;
mod owners;
