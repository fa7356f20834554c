mod guard;
mod keys;
mod lifecycle;
mod logo;
mod names;
mod permissions;
mod switch;
