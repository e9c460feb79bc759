"""What the files are called that this program makes of a photo, and so how they are known again."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePath

from defocusfix.jobs.patterns import composed

RESTORED, DEFOCUS, COMPARE, ORIGINAL = "_restored", "_defocus", "_compare", ".orig"

# With the number that a name gets if another file has it already.
_MADE = re.compile(
    f"(.+)(?:{'|'.join(map(re.escape, (RESTORED, DEFOCUS, COMPARE, ORIGINAL)))})(?:-[0-9]+)?"
)


def own_outputs(names: Collection[str]) -> set[str]:
    """Those photos of one folder that were made of another one that is still in it.

    names: of all photos in the folder.
    """
    made = {name: found[1] for name in names if (found := _MADE.fullmatch(_plain_stem(name)))}
    if not made:
        return set()
    # A photo whose output would be named as that of another one goes by its name with the suffix.
    origins = {_plain_stem(name) for name in names} | {_plain(name) for name in names}
    return {name for name, origin in made.items() if origin in origins}


def numbered(path: PurePath, number: int) -> str:
    """The name of a file, or from 2 on one that says which of several of that name it is."""
    return path.name if number == 1 else f"{path.stem}-{number}{path.suffix}"


def _plain_stem(name: str) -> str:
    return _plain(PurePath(name).stem)


def _plain(name: str) -> str:
    return composed(name).casefold()
