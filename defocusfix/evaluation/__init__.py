"""Numbers about restorations. Everything here takes a callable, never a model."""
