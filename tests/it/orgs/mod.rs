mod guard;
mod keys;
mod lifecycle;
mod logo;
mod permissions;
mod switch;
