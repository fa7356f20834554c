mod avatar;
mod me;
mod register;
