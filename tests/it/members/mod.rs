mod appoint;
mod change;
mod list;
mod owners;
