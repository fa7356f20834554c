//! Nothing grows for ever: what is deleted after which time, and that it is found by an index.

mod deletion;
mod races;
mod rules;
mod tables;
mod year;
