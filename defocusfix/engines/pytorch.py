"""torch on the CPU, CUDA or MPS (extra): runs the network as it was trained, from safetensors.

The only file outside training that knows torch, which takes two seconds to import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from defocusfix.engines.cores import physical_cores
from defocusfix.engines.engine import FloatArray, Precision
from defocusfix.engines.facts import check_unchanged, read_facts
from defocusfix.engines.memory import (
    first_line,
    loading_error,
    means_out_of_memory,
    tile_error,
)
from defocusfix.engines.model_file import read_spec
from defocusfix.errors import DeviceError, ModelError
from defocusfix.network_spec import NetworkSpec
from defocusfix.networks.build import BUILDERS, build_network, by_own_names

TYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class PyTorchEngine:
    """The weights of a safetensors file, in the network they belong to.

    path: with a `NetworkSpec` in its metadata or beside it.
    device: `cpu`, `cuda` or `mps`. precision: below fp32 it is that of the convolutions, the photo
    itself stays in fp32. threads: of the CPU, for the whole process; None takes one per physical
    core.
    Raises ModelError if the file is unusable, DeviceError if `device` is not to be had.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        threads: int | None = None,
    ) -> None:
        self.spec: NetworkSpec = read_spec(path)
        self.name = f"torch {torch.__version__}"
        self.device = "cuda:0" if device == "cuda" else device
        self.precision: Precision = precision
        check_device(device, precision)
        check_unchanged(path, read_facts(path))
        torch.set_num_threads(threads or physical_cores())
        try:
            self._network = _load(path, self.spec).to(self.device)
        except (RuntimeError, MemoryError) as error:
            raise loading_error(error, engine=self.name, device=self.device) from error

    def run(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Compute one batch; see `Engine.run`."""
        try:
            with computing(self.device, self.precision):
                tensors = [
                    torch.from_numpy(np.ascontiguousarray(inputs[name]))
                    .to(self.device)
                    .contiguous(memory_format=torch.channels_last)  # NCHW takes up to twice as long
                    for name in self.spec.inputs
                ]
                found = self._network(*tensors)
                outputs = found if isinstance(found, tuple) else (found,)
                arrays = [output.float().contiguous().cpu().numpy() for output in outputs]
        except (RuntimeError, MemoryError) as error:
            raise tile_error(error, inputs, engine=self.name, device=self.device) from error
        return dict(zip(self.spec.outputs, arrays, strict=True))


def check_device(device: str, precision: Precision) -> None:
    """Raise DeviceError unless torch can compute in `precision` on `device` here."""
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        reason = f"it is built for CUDA {built}" if built else "this build has no CUDA part"
        fix = "use --device auto or cpu, or install torch as https://pytorch.org says"
    elif device == "mps" and not torch.backends.mps.is_available():
        reason, fix = "MPS is there on Macs with Apple's own processors", "use --device auto or cpu"
    elif device == "cuda" and precision == "bf16" and not torch.cuda.is_bf16_supported(False):
        reason, fix = "this GPU has no bf16 arithmetic", "use --precision auto or fp16"
    else:
        return
    raise DeviceError(
        f"--device {device} was asked for, but is not usable here",
        why=f"torch {torch.__version__}: {reason}",
        fix=fix,
    )


@contextmanager
def computing(device: str, precision: Precision) -> Iterator[None]:
    """A block without gradients in which convolutions and matrix products have this precision."""
    kind = device.partition(":")[0]
    with ExitStack() as settings:
        settings.enter_context(torch.inference_mode())
        if precision != "fp32":
            settings.enter_context(torch.autocast(kind, TYPES[precision]))
        elif kind == "cuda":  # ten bits of mantissa, which cuDNN takes unasked, are not fp32
            settings.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)
            )
        yield


def product_in_torch(
    left: FloatArray,
    right: FloatArray,
    times: int,
    *,
    device: str,
    precision: Precision,
    threads: int | None = None,
) -> Callable[[], object]:
    """What computes `left` times `right`, `times` times over, and waits for the result."""
    check_device(device, precision)
    torch.set_num_threads(threads or physical_cores())
    first, second = (torch.from_numpy(a).to(device, TYPES[precision]) for a in (left, right))

    def run() -> float:
        product = first
        with computing(device, precision):
            for _ in range(times):
                product = product @ second
        return float(product[0, 0])

    return run


def _load(path: Path, spec: NetworkSpec) -> nn.Module:
    """The network of a file of weights, in float32 and ready to run."""
    if spec.architecture not in BUILDERS:
        raise ModelError(
            f"the architecture {spec.architecture!r} of {path.name} is unknown",
            why=f"known: {', '.join(sorted(BUILDERS))}",
        )
    network = build_network(spec.architecture).eval()
    try:
        # Copied into float32 parameters, so weights stored in 16 bits are widened.
        network.load_state_dict(by_own_names(spec.architecture, load_file(os.fspath(path))))
    except (RuntimeError, OSError, SafetensorError) as error:
        if means_out_of_memory(error):
            raise
        raise ModelError(f"the weights {path.name} do not fit", why=first_line(error)) from error
    return network
