"""Where fetched weights live: by the rules of the Hugging Face Hub, or where the user says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "DEFOCUSFIX_CACHE_DIR"
TRUE = frozenset({"1", "ON", "YES", "TRUE"})  # as the Hub's client reads its variables


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that hold weights."""

    store: Path
    """Ours: files that were verified, one folder per entry."""
    hub: Path
    """Cache of the Hub's client, shared with every other program that uses it."""


def find_places(folder: Path | None = None) -> Places:
    """The folders for weights.

    folder: holds both; None takes DEFOCUSFIX_CACHE_DIR, and without it HF_HOME and HF_HUB_CACHE as
    the Hub's client does. Variables are read now, not when a library was imported.
    """
    chosen = folder or os.environ.get(CACHE_VARIABLE)
    if chosen:
        root = _expanded(chosen)
        return Places(root / "defocusfix", root / "hub")
    general = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = _expanded(os.environ.get("HF_HOME") or f"{general}/huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Places(home / "defocusfix", _expanded(hub) if hub else home / "hub")


def settings_folder() -> Path:
    """Where answers of the user are remembered."""
    general = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return _expanded(general or "~/.config") / "defocusfix"


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in TRUE


def _expanded(path: str | Path) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()
