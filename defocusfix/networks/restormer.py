"""Restormer (Zamir et al., CVPR 2022, arXiv 2111.09881), as used for single-image defocus.

image (B, 3, H, W) in [0, 1], H and W multiples of 8  ->  restored (B, 3, H, W), unclamped.
26,126,644 parameters in 494 tensors. Attention is between channels, over the whole picture: tiles
of one photo agree only roughly, whatever their halo.

Parameters have the names and shapes of the published weights, so that those load as they are. That
is proven with a list of names and shapes made from the description, not with the published file
itself: that this network computes with it what the authors' does remains to be shown.

Departure: queries and keys are divided by their largest magnitude before they are squared, since
the squares of large features overflow in float16.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEED_FORWARD_EXPANSION = 2.66


class ChannelNorm(nn.Module):
    """Layer normalisation of each pixel's channels, (B, C, H, W), with scale and offset."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(width, eps=1e-5)

    def forward(self, features: Tensor) -> Tensor:
        channels_last = features.permute(0, 2, 3, 1)  # (B, H, W, C)
        return self.body(channels_last).permute(0, 3, 1, 2)


class ChannelAttention(nn.Module):
    """Channels attend to channels of their head by the likeness of their pictures."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(
            3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False
        )
        self.project_out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        B, C, H, W = features.shape
        heads = len(self.temperature)
        together = self.qkv_dwconv(self.qkv(features))  # (B, 3C, H, W)
        query, key, value = together.view(B, 3, heads, C // heads, H * W).unbind(1)
        likeness = unit(query) @ unit(key).transpose(-2, -1) * self.temperature  # (B, heads, c, c)
        attended = likeness.softmax(dim=-1) @ value  # (B, heads, c, H * W)
        return self.project_out(attended.reshape(B, C, H, W))


def unit(vectors: Tensor) -> Tensor:
    """`vectors` (..., N) at length 1; those of zeros stay so.

    In float16 too, for magnitudes up to its largest number: the squares are at most 1, so their sum
    overflows only beyond 65504 elements that are nearly all of one size.
    """
    largest = vectors.abs().amax(dim=-1, keepdim=True)
    scaled = vectors / torch.where(largest > 0, largest, 1.0)
    return scaled / (scaled * scaled).sum(dim=-1, keepdim=True).sqrt().clamp_min(1.0)


class GatedFeedForward(nn.Module):
    """Each pixel and its neighbours: one half of the features, through GELU, gates the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = int(width * FEED_FORWARD_EXPANSION)
        self.project_in = nn.Conv2d(width, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        gate, content = self.dwconv(self.project_in(features)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * content)


class TransformerBlock(nn.Module):
    """Attention, then feed-forward; each is added to its input and sees it normalised."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.attn = ChannelAttention(width, heads)
        self.norm2 = ChannelNorm(width)
        self.ffn = GatedFeedForward(width)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attn(self.norm1(features))
        return features + self.ffn(self.norm2(features))


class Resampling(nn.Module):
    """Half the size with twice the channels, or twice the size with half of them."""

    def __init__(self, width: int, *, halves: bool) -> None:
        super().__init__()
        convolved = width // 2 if halves else 2 * width
        rearrange = nn.PixelUnshuffle(2) if halves else nn.PixelShuffle(2)
        convolution = nn.Conv2d(width, convolved, 3, padding=1, bias=False)
        self.body = nn.Sequential(convolution, rearrange)

    def forward(self, features: Tensor) -> Tensor:
        return self.body(features)


class Restormer(nn.Module):
    """image -> image + correction.

    width: channels at full size, doubled at each of three halvings.
    blocks: transformer blocks at full, half, quarter and eighth size; the first three as often on
    the way back. refinement: further ones at full size, in the end.
    heads: of the attention, per size.
    """

    size_multiple = 8
    # No halo makes tiles agree. With random weights, 87 % of what a pixel depends on lies within
    # 32 px, 92 % within the 56 px at which tiles meet; each pixel more is dear, and a wide overlap
    # hides what remains. A tile of this size, as large as the pictures it was trained on, takes
    # 2.4 GB in ONNX Runtime; one of 512 px 4.5 GB.
    halo = 32
    tile = 384
    overlap = 48

    def __init__(
        self,
        *,
        width: int = 48,
        blocks: tuple[int, int, int, int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: tuple[int, int, int, int] = (1, 2, 4, 8),
    ) -> None:
        super().__init__()
        full, half, quarter, eighth = (width * 2**level for level in range(4))
        first = nn.Conv2d(3, full, 3, padding=1, bias=False)
        self.patch_embed = nn.Sequential(OrderedDict(proj=first))
        self.encoder_level1 = _blocks(full, heads[0], blocks[0])
        self.down1_2 = Resampling(full, halves=True)
        self.encoder_level2 = _blocks(half, heads[1], blocks[1])
        self.down2_3 = Resampling(half, halves=True)
        self.encoder_level3 = _blocks(quarter, heads[2], blocks[2])
        self.down3_4 = Resampling(quarter, halves=True)
        self.latent = _blocks(eighth, heads[3], blocks[3])
        self.up4_3 = Resampling(eighth, halves=False)
        self.reduce_chan_level3 = nn.Conv2d(2 * quarter, quarter, 1, bias=False)
        self.decoder_level3 = _blocks(quarter, heads[2], blocks[2])
        self.up3_2 = Resampling(quarter, halves=False)
        self.reduce_chan_level2 = nn.Conv2d(2 * half, half, 1, bias=False)
        self.decoder_level2 = _blocks(half, heads[1], blocks[1])
        self.up2_1 = Resampling(half, halves=False)
        self.decoder_level1 = _blocks(2 * full, heads[0], blocks[0])  # keeps both halves
        self.refinement = _blocks(2 * full, heads[0], refinement)
        self.output = nn.Conv2d(2 * full, 3, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        at_full = self.encoder_level1(self.patch_embed(image))  # (B, width, H, W)
        at_half = self.encoder_level2(self.down1_2(at_full))  # (B, 2 width, H/2, W/2)
        at_quarter = self.encoder_level3(self.down2_3(at_half))  # (B, 4 width, H/4, W/4)
        features = self.latent(self.down3_4(at_quarter))  # (B, 8 width, H/8, W/8)
        features = torch.cat([self.up4_3(features), at_quarter], dim=1)
        features = self.decoder_level3(self.reduce_chan_level3(features))
        features = torch.cat([self.up3_2(features), at_half], dim=1)
        features = self.decoder_level2(self.reduce_chan_level2(features))
        features = torch.cat([self.up2_1(features), at_full], dim=1)  # (B, 2 width, H, W)
        features = self.refinement(self.decoder_level1(features))
        return image + self.output(features)


def _blocks(width: int, heads: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(TransformerBlock(width, heads) for _ in range(count)))
