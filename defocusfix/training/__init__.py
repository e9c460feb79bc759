"""Training: recipes as data, and the one loop that plays them. Loads torch; restore never does."""
