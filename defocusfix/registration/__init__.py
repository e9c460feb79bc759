"""Bring two photos of one scene into line."""
