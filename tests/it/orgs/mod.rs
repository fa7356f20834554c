mod life;
mod switch;
