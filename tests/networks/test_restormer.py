"""Restormer: the names and shapes of its published weights, what it computes, and in float16.

What remains unproven: the published file could not be had, so that its tensors are those listed in
`published_restormer`, and that they restore a photo, is taken from descriptions.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from defocusfix.networks.build import build_network
from defocusfix.networks.restormer import ChannelAttention, Restormer, unit
from tests.networks.published_restormer import published_shapes, random_weights

SMALL = {"width": 8, "blocks": (1, 2, 1, 1), "refinement": 1, "heads": (1, 2, 2, 4)}


def small(seed: int = 0) -> Restormer:
    network = Restormer(**SMALL).eval()
    network.load_state_dict(random_weights(published_shapes(**SMALL), seed))
    return network


def test_it_has_the_tensors_that_were_published():
    published = published_shapes()
    assert len(published) == 494
    assert sum(math.prod(shape) for shape in published.values()) == 26_126_644
    with torch.device("meta"):
        network = build_network("restormer")
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert own == published


def test_only_the_norms_have_biases():
    biases = [name for name in published_shapes() if name.endswith("bias")]
    assert all(".norm1.body." in name or ".norm2.body." in name for name in biases)
    assert len(biases) == 2 * 44


def test_weights_of_these_names_go_in_strictly_and_others_do_not():
    with torch.device("meta"):
        network = Restormer()
        weights = {name: torch.empty(shape) for name, shape in published_shapes().items()}
    network.load_state_dict(weights, strict=True, assign=True)
    del weights["latent.7.attn.temperature"]
    with pytest.raises(RuntimeError, match=r"latent\.7\.attn\.temperature"):
        network.load_state_dict(weights, strict=True, assign=True)


def test_it_computes_what_the_description_says():
    weights = random_weights(published_shapes(**SMALL))
    image = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = small()(image), as_described(weights, image)
    assert (expected - image).abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def as_described(weights: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """The small network from its weights alone: encoder, latent, decoder that joins, refinement."""

    def convolved(name: str, features: torch.Tensor, groups: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.weight"]
        return F.conv2d(features, kernel, padding=kernel.shape[-1] // 2, groups=groups)

    def normed(name: str, features: torch.Tensor) -> torch.Tensor:
        mean = features.mean(1, keepdim=True)
        deviation = (features.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        scale, offset = (weights[f"{name}.body.{part}"] for part in ("weight", "bias"))
        return (features - mean) / deviation * scale[:, None, None] + offset[:, None, None]

    def attended(name: str, features: torch.Tensor) -> torch.Tensor:
        tripled = convolved(f"{name}.qkv", features)
        query, key, value = convolved(f"{name}.qkv_dwconv", tripled, len(tripled[0])).chunk(3, 1)
        temperature = weights[f"{name}.temperature"]
        heads = []
        for head, parts in enumerate(
            zip(*(p.chunk(len(temperature), 1) for p in (query, key, value)), strict=True)
        ):
            q, k, v = (part.flatten(2) for part in parts)  # (B, c, H * W)
            likeness = F.normalize(q, dim=2) @ F.normalize(k, dim=2).transpose(1, 2)
            shares = (likeness * temperature[head]).softmax(2)
            heads.append((shares @ v).view_as(parts[2]))
        return convolved(f"{name}.project_out", torch.cat(heads, 1))

    def fed_forward(name: str, features: torch.Tensor) -> torch.Tensor:
        wide = convolved(f"{name}.project_in", features)
        gate, content = convolved(f"{name}.dwconv", wide, len(wide[0])).chunk(2, 1)
        return convolved(f"{name}.project_out", F.gelu(gate) * content)

    def through(row: str, features: torch.Tensor) -> torch.Tensor:
        names = sorted({name.split(".")[1] for name in weights if name.startswith(f"{row}.")})
        for block in (f"{row}.{number}" for number in names):
            features = features + attended(f"{block}.attn", normed(f"{block}.norm1", features))
            features = features + fed_forward(f"{block}.ffn", normed(f"{block}.norm2", features))
        return features

    def down(name: str, features: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(convolved(f"{name}.body.0", features), 2)

    def joined(name: str, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.pixel_shuffle(convolved(f"{name}.body.0", features), 2), skip], 1)

    first = through("encoder_level1", convolved("patch_embed.proj", image))
    second = through("encoder_level2", down("down1_2", first))
    third = through("encoder_level3", down("down2_3", second))
    features = joined("up4_3", through("latent", down("down3_4", third)), third)
    features = through("decoder_level3", convolved("reduce_chan_level3", features))
    features = convolved("reduce_chan_level2", joined("up3_2", features, second))
    features = joined("up2_1", through("decoder_level2", features), first)
    features = through("refinement", through("decoder_level1", features))
    return convolved("output", features) + image


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 1e4])
def test_in_float32_a_unit_vector_is_the_usual_one(size: float):
    vectors = size * torch.randn(2, 3, 500, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(unit(vectors), F.normalize(vectors, dim=-1), atol=1e-6, rtol=0)


def test_vectors_of_zeros_stay_zeros_in_every_precision():
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        assert torch.equal(unit(torch.zeros(2, 5, dtype=kind)), torch.zeros(2, 5, dtype=kind))


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 300.0, 15_000.0])
def test_in_float16_large_and_small_vectors_keep_their_direction(size: float):
    vectors = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)
    found = unit((size * vectors).half())
    expected = F.normalize((size * vectors).half().float(), dim=-1)
    assert (found.float() - expected).abs().max() < 2e-3 * expected.abs().max()
    if size >= 300:  # as exporters and engines spell it out
        assert ((size * vectors).half() ** 2).sum(-1).isinf().all()


def test_attention_with_large_queries_and_keys_survives_float16():
    torch.manual_seed(0)
    attention, features = ChannelAttention(8, 2), torch.randn(1, 8, 24, 32)
    with torch.no_grad():
        expected = attention(features)
        attention.qkv_dwconv.weight[:16] *= 4000  # their lengths change nothing
        torch.testing.assert_close(attention(features), expected, atol=1e-5, rtol=0)
        in_half = attention.half()(features.half())
        squares = attention.qkv_dwconv(attention.qkv(features.half()))[:, :16].pow(2)
    assert squares.sum((2, 3)).isinf().any()
    assert (in_half.float() - expected).abs().max() < 0.01 * expected.abs().max()
