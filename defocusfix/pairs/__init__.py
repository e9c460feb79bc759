"""Pairs of blurred and sharp photos on disk; no torch."""
