mod change;
mod list;
mod owners;
