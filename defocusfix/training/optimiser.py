"""One optimiser per module: AdamW, or Muon for the matrices and AdamW for the rest.

Muon takes the momentum of a weight matrix and replaces it by the nearest (semi-)orthogonal one, so
that every direction of the matrix moves equally far. Convolutions (out, in, k, k) are read as
matrices (out, in * k * k).

    momentum <- mu * momentum + gradient
    update    = orthogonal(gradient + mu * momentum)                        (Nesterov)
    weight   <- (1 - rate * decay) * weight - rate * 0.2 * sqrt(max(rows, columns)) * update

The last factor gives the update AdamW's usual root mean square of 0.2, so that AdamW's learning
rates and decays carry over.

Source: Jordan et al., Muon (2024), for momentum and the Newton-Schulz iteration; Liu et al., Muon
is scalable for LLM training (2025, arXiv 2502.16982), section 2.2, for the scale and the decay.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from defocusfix.training.recipe import OptimiserConfig

NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steepest slope at zero
UPDATE_RMS = 0.2  # Liu et al., equation 4


class ModuleOptimiser:
    """What moves one module: its optimisers, stepped together at one learning rate."""

    def __init__(self, module: nn.Module, config: OptimiserConfig) -> None:
        self.learning_rate_factor = config.learning_rate
        named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        matrices = [name for name, p in named.items() if _is_for_muon(name, p, config)]
        rest = [p for name, p in named.items() if name not in set(matrices)]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(
                Muon(
                    [named[name] for name in matrices],
                    momentum=config.momentum,
                    weight_decay=config.weight_decay,
                )
            )
        if rest:
            self._parts.append(
                torch.optim.AdamW(
                    rest, lr=0.0, betas=config.betas, weight_decay=config.weight_decay, fused=True
                )
            )

    def take_step(self, learning_rate: float) -> None:
        """Move the module along its gradients and clear them."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate * self.learning_rate_factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """All that a resumed run needs."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Take up where `state_dict` stood. Raises ValueError for another optimiser's state."""
        if len(state) != len(self._parts):
            raise ValueError(f"{len(state)} optimisers were saved, {len(self._parts)} are here")
        for part, saved in zip(self._parts, state, strict=True):
            part.load_state_dict(saved)


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more axes; the first axis is the matrix's rows."""

    def __init__(
        self, parameters: Iterable[Tensor], *, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(
            parameters, {"lr": 0.0, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient; `closure` is not called."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows = parameter.shape[0]
                    alike[rows, parameter.numel() // rows].append(parameter)
            for parameters in alike.values():
                self._update(parameters, group)
        return None

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Move parameters whose matrices have one shape; they are orthogonalised together."""
        gradients = [cast(Tensor, p.grad) for p in parameters]
        momenta = []
        for parameter, gradient in zip(parameters, gradients, strict=True):
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            momenta.append(state["momentum"])
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, gradients)
        nesterov = torch._foreach_add(gradients, momenta, alpha=group["momentum"])
        updates = orthogonalised(torch.stack([n.flatten(1) for n in nesterov]))
        rows, columns = updates.shape[1:]
        scale = UPDATE_RMS * math.sqrt(max(rows, columns))
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"] * scale)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Each of (N, rows, columns), with its singular values moved close to 1 (0.7 to 1.2).

    Five Newton-Schulz steps in bfloat16, on the smaller side; float32 comes back.
    """
    linear, cubic, quintic = NEWTON_SCHULZ_COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()  # largest singular value <= 1
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.transpose(1, 2)  # (N, rows, rows)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x,
                          beta=linear)  # fmt: skip
    return (x.transpose(1, 2) if tall else x).float()


def _is_for_muon(name: str, parameter: Tensor, config: OptimiserConfig) -> bool:
    return config.name == "muon" and parameter.ndim >= 2 and not name.startswith(config.adamw_only)
