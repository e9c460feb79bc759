"""A still life drawn from nothing but arithmetic, for the picture of the README."""
