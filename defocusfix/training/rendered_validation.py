"""A look at a network in mid-training, by rendered pairs whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from defocusfix.evaluation.protocols import FloatImage, Restored, Views
from defocusfix.evaluation.rendered import score_rendered, summarise
from defocusfix.networks.deblurrer import as_deblurrer
from defocusfix.pairs.rendered import RenderedSet
from defocusfix.training.recipe import Validation

LARGEST_PAIRS, LARGEST_PICTURES = 64, 12


def rendered_validation(rendered: RenderedSet) -> Callable[[nn.Module], Validation]:
    """The scores of `defocusfix evaluate --rendered` on the first pairs, and some to look at.

    The network's score is its mean gain over the bands of the blur radius.
    Raises InputError where the truth of a set is only what networks restored.
    """
    rendered.require_truth()
    pairs = [rendered[k] for k in range(min(LARGEST_PAIRS, len(rendered)))]

    def validate(network: nn.Module) -> Validation:
        deblurrer = as_deblurrer(network)
        device = next(network.parameters()).device
        outputs: list[np.ndarray] = []

        def restore(image: FloatImage, views: Views | None = None) -> Restored:
            batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
            with torch.no_grad():
                restored, belief, *_ = deblurrer.deblur(batch)
            outputs.append(restored[0].permute(1, 2, 0).cpu().numpy().clip(0, 1))
            if deblurrer.believes_in != "radius" or belief is None:
                return Restored(outputs[-1])
            return Restored(outputs[-1], belief[0, 0].cpu().numpy())

        summary = summarise(score_rendered(restore, pairs), "all")
        metrics = {f"gain_{band}": gain for band, gain in summary.gains_db.items()}
        metrics["kept_db"] = summary.kept_db
        if deblurrer.believes_in == "radius":
            metrics["radius_mae_px"] = summary.map_error_px
            metrics["radius_relative_error"] = summary.map_relative_error
        shown = zip(pairs[:LARGEST_PICTURES], outputs, strict=False)
        return Validation(
            metrics,
            score=float(np.mean(list(summary.gains_db.values()))),
            pictures={
                f"pair_{k:02d}": np.hstack(
                    [blurred, np.round(output * 255).astype(np.uint8), sharp]
                )
                for k, ((blurred, sharp, _), output) in enumerate(shown)
            },
        )

    return validate
