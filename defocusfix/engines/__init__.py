"""Run one network on one batch. Nothing here knows of photos."""
