mod accept;
mod invite;
mod races;
