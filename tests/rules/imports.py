"""Which room may import which (of ours): the table of the architecture, as data.

A room is a package or a file directly under `defocusfix`. Data flows one way, `restore` never
reaches torch, and there is one place for each concept.
"""

from __future__ import annotations

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "file_lock": set(),
    "network_spec": {"errors"},
    "bundled": {"errors"},
    "photo": {"errors", "file_lock", "version"},
    "optics": {"errors"},
    "registration": {"errors"},
    "figures": {"errors"},
    "networks": {"network_spec"},
    "engines": {"errors", "network_spec"},
    "catalogue": {"bundled", "errors", "file_lock", "network_spec"},
    "pairs": {"photo", "optics", "registration", "figures", "errors"},
    "rendering": {"optics", "pairs", "errors"},
    "evaluation": {"photo", "registration", "optics", "figures", "pairs", "errors"},
    "restoration": {"photo", "engines", "catalogue", "bundled", "network_spec", "errors"},
    "training": {
        "catalogue",
        "networks",
        "optics",
        "rendering",
        "registration",
        "pairs",
        "evaluation",
        "figures",
        "photo",
        "network_spec",
        "errors",
        "version",
    },
    "benchmarking": {
        "restoration",
        "engines",
        "optics",
        "bundled",
        "network_spec",
        "errors",
    },
    "jobs": {"restoration", "photo", "figures", "errors", "file_lock", "version"},
    "cli": {
        "restoration",
        "training",
        "jobs",
        "benchmarking",
        "engines",
        "catalogue",
        "pairs",
        "evaluation",
        "rendering",
        "registration",
        "photo",
        "optics",
        "figures",
        "networks",
        "network_spec",
        "bundled",
        "errors",
        "version",
    },
    "__init__": {"restoration", "errors", "version"},
    "__main__": {"cli"},
}

# One file that may import more than its room: the engine that runs a network of ours in torch.
ONE_FILE_MORE: dict[str, set[str]] = {"engines/pytorch.py": {"networks"}}

# Rooms that know torch. Nothing else may name it, at the top of a file or inside a function.
TORCH_ROOMS = {"networks", "rendering", "training"}
TORCH_FILES = {"engines/pytorch.py"}

# Rooms that know ONNX Runtime. Training only compares an export with it, inside a function.
ONNXRUNTIME_ROOMS = {"engines", "training"}

# Loaded only when the engine is chosen, so they may import it at their top.
ENGINE_FILES = {"engines/onnxruntime.py", "engines/openvino.py", "engines/pytorch.py"}
