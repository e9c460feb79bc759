"""Which revision of this code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path


def code_revision() -> str:
    """The git commit of this checkout, with "+changes" where files differ from it.

    Empty outside a checkout of defocusfix, as after pip install, or where git is missing.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+changes" if changes else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return found.stdout.strip()
