"""What an architecture needs and gives, as it says of itself.

A network class states `size_multiple` and `halo`, and whatever differs from a single pass over a
photo in [0, 1]: `value_range`, `levels`, `outputs`, `tile`, `overlap`, each as in `NetworkSpec`.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from defocusfix.network_spec import NetworkSpec

NEEDED = ("size_multiple", "halo")
OPTIONAL = ("value_range", "levels", "tile", "overlap")


def described(
    network: nn.Module, name: str, *, licence: str = "", training_data: str = ""
) -> NetworkSpec:
    """The facts about `network`, which `build_network` knows under `name`."""
    facts: dict[str, Any] = {key: getattr(network, key) for key in NEEDED}
    facts |= {key: getattr(network, key) for key in OPTIONAL if hasattr(network, key)}
    return NetworkSpec(
        name=name,
        architecture=name,
        outputs=getattr(network, "outputs", ("restored",)),
        licence=licence,
        training_data=training_data,
        **{"levels": 1} | facts,
    )
