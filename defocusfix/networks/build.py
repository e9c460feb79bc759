"""Networks by name. A plain dictionary: "go to definition" works on every entry."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from defocusfix.networks.focusnet import focusnet_s

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "focusnet-s": focusnet_s,
}


def build_network(name: str) -> nn.Module:
    """A freshly initialised network. Raises KeyError, naming what is known, for other names."""
    if name not in BUILDERS:
        raise KeyError(f"unknown network {name!r}; known: {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name]()
