"""Fine-tuning on a user's own pairs: safe settings, held-out scenes, and a verdict in words."""
