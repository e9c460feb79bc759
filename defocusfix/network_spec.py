"""What a network needs and gives: the one agreement between training and inference.

Training writes a `NetworkSpec` into every file it exports (ONNX `metadata_props`, safetensors
metadata); engines and the restorer read it back. Nothing else is ever asked about a model, so no
code tests a model's name.

How a network with `levels > 1` is called, one level of an image pyramid at a time:

- `image` (B, 3, H, W) in `value_range`, H and W multiples of `size_multiple`;
- `coarse` (B, 4, H/2, W/2): the restored image of the next coarser level and, as fourth channel,
  its blur radius in pixels of that coarser level. At the coarsest level: the 2x2 area average of
  `image` and `RADIUS_UNKNOWN`.

A network with `levels == 1` takes no `coarse`. One for dual-pixel photos also takes what the two
halves of each pixel saw, `left` and `right`, each like `image`, which shows both in one.

Outputs are `restored` (B, 3, H, W), not clamped, and optionally `radius_px` (B, 1, H, W), blur
radius in pixels of this level, not negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from defocusfix.errors import ModelError

Parsed = TypeVar("Parsed")

METADATA_PREFIX = "defocusfix."
RADIUS_UNKNOWN = -1.0
USUAL_OVERLAP = 16
ARITHMETICS = ("fp32", "int8")
VIEWS = ("left", "right")
"""Of a dual-pixel sensor, as seen from the camera."""
WRITTEN_IF_UNUSUAL = {
    "tile": "0", "overlap": str(USUAL_OVERLAP), "views": "", "arithmetic": "fp32"
}  # fmt: skip
"""Facts that a file leaves out where they read so."""
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Facts about one set of weights.

    Raises ValueError where the facts contradict each other.
    """

    name: str
    """What people call these weights, for example `focusnet-s`."""
    architecture: str
    """Which network file the weights fit, for example `focusnet`."""
    value_range: tuple[float, float] = (0.0, 1.0)
    """Black and white as the network wants them; display-encoded, not linear light."""
    size_multiple: int
    """Height and width of every input must be multiples of this many pixels."""
    halo: int
    """Pixels around a tile, at each level, that its result can depend on."""
    levels: int
    """Pyramid levels the network was trained for; 1 is a single pass."""
    outputs: tuple[str, ...] = ("restored", "radius_px")
    """Names of the outputs, in order."""
    licence: str = ""
    """Licence of the weights."""
    training_data: str = ""
    """What the weights were trained on, in words."""
    revision: str = ""
    """Revision of the code that trained the weights."""
    weights_sha256: str = ""
    """SHA-256 of the weights as trained, before any conversion; in hexadecimal."""
    tile: int = 0
    """Side in pixels of the tiles that suit it, as where it takes much memory; 0 for what suits
    most networks."""
    overlap: int = USUAL_OVERLAP
    """Pixels in which neighbouring tiles are cross-faded; even. More than usual where tiles agree
    only roughly, as after attention or pooling over a whole tile."""
    views: tuple[str, ...] = ()
    """Both `VIEWS` in the order in which the network takes them, or none."""
    arithmetic: str = "fp32"
    """`int8` for a graph whose larger convolutions multiply in 8 bits; else an engine decides."""

    def __post_init__(self) -> None:
        black, white = self.value_range
        if not black < white:
            raise ValueError(f"value_range must rise, got {self.value_range}")
        if self.size_multiple < 1 or self.levels < 1:
            raise ValueError("size_multiple and levels must be at least 1")
        if self.levels > 1 and self.size_multiple % 2:
            raise ValueError("a network with levels halves its input: size_multiple must be even")
        if self.halo < 0:
            raise ValueError(f"halo must not be negative, got {self.halo}")
        if self.tile < 0 or self.overlap < 0 or self.overlap % 2:
            raise ValueError("tile and overlap must not be negative, and overlap must be even")
        if not self.outputs or self.outputs[0] != "restored":
            raise ValueError(f"the first output must be 'restored', got {self.outputs}")
        if self.levels > 1 and "radius_px" not in self.outputs:
            raise ValueError("a network with levels hands its radius on: it must output radius_px")
        if self.arithmetic not in ARITHMETICS:
            raise ValueError(f"arithmetic must be {' or '.join(ARITHMETICS)}")
        if self.views and sorted(self.views) != sorted(VIEWS):
            raise ValueError(f"views must be both of {', '.join(VIEWS)} or none, got {self.views}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return ("image", *(("coarse",) if self.levels > 1 else ()), *self.views)

    def input_shapes(self, batch: int, height: int, width: int) -> dict[str, Shape]:
        """(B, C, H, W) of every input by its name, for pictures of a size in pixels."""
        picture = (batch, 3, height, width)
        shapes = {"image": picture, "coarse": (batch, 4, height // 2, width // 2)}
        return {name: shapes.get(name, picture) for name in self.inputs}

    def to_metadata(self) -> dict[str, str]:
        """The facts as text, one key per field, each key with `METADATA_PREFIX`.

        What `WRITTEN_IF_UNUSUAL` names is left out where it is usual.
        """
        facts = {field.name: _to_text(getattr(self, field.name)) for field in fields(self)}
        return {
            METADATA_PREFIX + name: text
            for name, text in facts.items()
            if WRITTEN_IF_UNUSUAL.get(name) != text
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> NetworkSpec:
        """Read back what `to_metadata` wrote; keys of other programs are ignored.

        Raises ModelError naming the key that is missing or cannot be understood.
        """

        def text(name: str) -> str:
            key = METADATA_PREFIX + name
            if key not in metadata and name in WRITTEN_IF_UNUSUAL:
                return WRITTEN_IF_UNUSUAL[name]
            if key not in metadata:
                raise ModelError(
                    f"the model file lacks the entry {key!r}",
                    why="it was not exported by defocusfix, or by a version too old",
                    fix="export it again with: defocusfix export RUN -o FILE.onnx",
                )
            return metadata[key]

        def integer(name: str) -> int:
            return _parsed(name, text(name), int)

        value_range = _parsed("value_range", text("value_range"), _two_numbers)
        try:
            return cls(
                name=text("name"),
                architecture=text("architecture"),
                value_range=value_range,
                size_multiple=integer("size_multiple"),
                halo=integer("halo"),
                levels=integer("levels"),
                outputs=tuple(text("outputs").split()),
                licence=text("licence"),
                training_data=text("training_data"),
                revision=text("revision"),
                weights_sha256=text("weights_sha256"),
                tile=integer("tile"),
                overlap=integer("overlap"),
                views=tuple(text("views").split()),
                arithmetic=text("arithmetic"),
            )
        except ValueError as error:
            raise ModelError(
                "the model file contradicts itself",
                why=str(error),
                fix="export it again with: defocusfix export RUN -o FILE.onnx",
            ) from error


def _to_text(value: str | int | tuple[object, ...]) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


def _two_numbers(text: str) -> tuple[float, float]:
    first, second = text.split()
    return float(first), float(second)


def _parsed(name: str, text: str, parse: Callable[[str], Parsed]) -> Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise ModelError(
            f"the model file's entry {METADATA_PREFIX + name!r} cannot be understood",
            why=f"it reads {text!r}",
            fix="export it again with: defocusfix export RUN -o FILE.onnx",
        ) from error
