"""Where the weights are that come with defocusfix."""

from __future__ import annotations

from pathlib import Path

from defocusfix.errors import ModelError

_PACKAGE = Path(__file__).resolve().parent


def bundled_models_folder() -> Path:
    """The folder that holds one folder of weights per bundled model.

    It is inside the package where defocusfix was installed from a wheel, and beside the package
    in a checkout of the repository. Raises ModelError if neither is there.
    """
    candidates = (_PACKAGE / "models", _PACKAGE.parent / "models")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ModelError(
        "the weights that come with defocusfix are missing",
        why="\n".join(f"no folder {folder}" for folder in candidates),
        fix="install again: pip install --force-reinstall defocusfix",
    )
