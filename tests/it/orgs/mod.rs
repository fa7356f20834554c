mod keys;
mod life;
mod logo;
mod matrix;
mod switch;
