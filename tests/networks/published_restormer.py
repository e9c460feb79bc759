"""Names and shapes of Restormer's published weights, written down from its description.

Nothing here asks our network: width 48, doubled at each halving; 4, 6, 6 and 8 blocks, 4 for
refinement; 1, 2, 4 and 8 heads; a feed-forward of 2.66 times the width; biases in the norms alone.
"""

from __future__ import annotations

import torch

Shape = tuple[int, ...]


def published_shapes(
    width: int = 48,
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8),
    refinement: int = 4,
    heads: tuple[int, int, int, int] = (1, 2, 4, 8),
) -> dict[str, Shape]:
    """Shape of every tensor by its name."""
    one, two, four, eight = width, 2 * width, 4 * width, 8 * width
    shapes: dict[str, Shape] = {"patch_embed.proj.weight": (one, 3, 3, 3)}
    rows = [
        ("encoder_level1", blocks[0], one, heads[0]),
        ("encoder_level2", blocks[1], two, heads[1]),
        ("encoder_level3", blocks[2], four, heads[2]),
        ("latent", blocks[3], eight, heads[3]),
        ("decoder_level3", blocks[2], four, heads[2]),
        ("decoder_level2", blocks[1], two, heads[1]),
        ("decoder_level1", blocks[0], two, heads[0]),
        ("refinement", refinement, two, heads[0]),
    ]
    for row, count, channels, n_heads in rows:
        for number in range(count):
            shapes |= _block(f"{row}.{number}", channels, n_heads)
    for name, channels in (("down1_2", one), ("down2_3", two), ("down3_4", four)):
        shapes[f"{name}.body.0.weight"] = (channels // 2, channels, 3, 3)
    for name, channels in (("up4_3", eight), ("up3_2", four), ("up2_1", two)):
        shapes[f"{name}.body.0.weight"] = (2 * channels, channels, 3, 3)
    shapes["reduce_chan_level3.weight"] = (four, eight, 1, 1)
    shapes["reduce_chan_level2.weight"] = (two, four, 1, 1)
    shapes["output.weight"] = (3, two, 3, 3)
    return shapes


def random_weights(shapes: dict[str, Shape], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random values of a size that keeps a picture a picture; norms near 1, their biases near 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            weights[name] = values * (0.5 / (shape[1] * shape[2] * shape[3]) ** 0.5)
        else:
            weights[name] = 0.1 * values + (0 if name.endswith("bias") else 1)
    return weights


def _block(name: str, channels: int, heads: int) -> dict[str, Shape]:
    hidden = int(2.66 * channels)
    return {
        f"{name}.norm1.body.weight": (channels,),
        f"{name}.norm1.body.bias": (channels,),
        f"{name}.attn.temperature": (heads, 1, 1),
        f"{name}.attn.qkv.weight": (3 * channels, channels, 1, 1),
        f"{name}.attn.qkv_dwconv.weight": (3 * channels, 1, 3, 3),
        f"{name}.attn.project_out.weight": (channels, channels, 1, 1),
        f"{name}.norm2.body.weight": (channels,),
        f"{name}.norm2.body.bias": (channels,),
        f"{name}.ffn.project_in.weight": (2 * hidden, channels, 1, 1),
        f"{name}.ffn.dwconv.weight": (2 * hidden, 1, 3, 3),
        f"{name}.ffn.project_out.weight": (channels, hidden, 1, 1),
    }
