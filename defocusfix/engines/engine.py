"""The one agreement between the restorer and whatever computes a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from defocusfix.network_spec import NetworkSpec

FloatArray = npt.NDArray[np.float32]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""Of the arithmetic inside an engine; inputs and outputs are float32 whatever it is."""


class Engine(Protocol):
    """One network, ready to run on one device."""

    @property
    def spec(self) -> NetworkSpec:
        """What the network needs and gives."""

    @property
    def name(self) -> str:
        """The library that computes, with its version."""

    @property
    def device(self) -> str:
        """The device really in use, such as `cpu` or `cuda:0`."""

    @property
    def precision(self) -> Precision:
        """The precision really in use."""

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch.

        inputs: float32 (B, C, H, W) by the names in `spec.inputs`. Returns the arrays named in
        `spec.outputs`. Raises DeviceMemoryError if the device has too little memory for it, so that
        less at once may fit, DeviceError if it cannot do it at all, and ModelError if the network
        gives something else than pictures of the size it got.
        """
