mod decide;
mod races;
