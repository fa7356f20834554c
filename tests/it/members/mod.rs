mod appoint;
mod change;
mod disabled;
mod limit;
mod list;
mod owners;
