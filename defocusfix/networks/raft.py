"""RAFT, the small network: optical flow between two photos (Teed and Deng, ECCV 2020).

fixed, moving (B, 3, H, W) in [-1, 1], H and W multiples of 8 and at least 128
->  flow (B, 2, H, W) in pixels, x first: moving at (x + flow_x, y + flow_y) shows what fixed does
    at (x, y).

990,162 parameters. Features at an eighth of the size are compared all with all; a recurrent unit
looks up the neighbourhood of where each pixel is thought to be and moves it, twelve times.

Modules carry the names of torchvision's raft_small, so that its published weights load strictly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 8
SMALLEST_SIDE = 128  # px; the coarsest correlations must keep two cells per side
LEVELS = 4
RADIUS = 3  # cells looked up on either side, at every level
HIDDEN, CONTEXT = 96, 64
MOVES = 12


class ConvNormReLU(nn.Sequential):
    """A convolution at constant size (but for its stride), normalised if wanted, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        normalises: bool = False,
        activates: bool = True,
    ) -> None:
        layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)]
        if normalises:
            layers.append(nn.InstanceNorm2d(outputs))
        if activates:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class Bottleneck(nn.Module):
    """x + (1x1 to a quarter of the width, 3x3, 1x1 back), then ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, normalises: bool) -> None:
        super().__init__()
        narrow = outputs // 4
        self.convnormrelu1 = ConvNormReLU(inputs, narrow, 1, normalises=normalises)
        self.convnormrelu2 = ConvNormReLU(narrow, narrow, 3, stride=stride, normalises=normalises)
        self.convnormrelu3 = ConvNormReLU(narrow, outputs, 1, normalises=normalises)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            self.downsample = ConvNormReLU(
                inputs, outputs, 1, stride=stride, normalises=normalises, activates=False
            )

    def forward(self, features: Tensor) -> Tensor:
        change = self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(features)))
        return F.relu(self.downsample(features) + change)


class Encoder(nn.Module):
    """(B, 3, H, W) -> (B, outputs, H/8, W/8)."""

    def __init__(self, outputs: int, *, normalises: bool) -> None:
        super().__init__()

        def pair(inputs: int, width: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                Bottleneck(inputs, width, stride=stride, normalises=normalises),
                Bottleneck(width, width, stride=1, normalises=normalises),
            )

        self.convnormrelu = ConvNormReLU(3, 32, 7, stride=2, normalises=normalises)
        self.layer1 = pair(32, 32, 1)
        self.layer2 = pair(32, 64, 2)
        self.layer3 = pair(64, 96, 2)
        self.conv = nn.Conv2d(96, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(image)))))


class MotionEncoder(nn.Module):
    """Correlations looked up and the flow so far -> features (B, 82, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.convcorr1 = ConvNormReLU(LEVELS * (2 * RADIUS + 1) ** 2, 96, 1)
        self.convflow1 = ConvNormReLU(2, 64, 7)
        self.convflow2 = ConvNormReLU(64, 32, 3)
        self.conv = ConvNormReLU(96 + 32, 80, 3)

    def forward(self, flow: Tensor, correlations: Tensor) -> Tensor:
        views = [self.convcorr1(correlations), self.convflow2(self.convflow1(flow))]
        return torch.cat([self.conv(torch.cat(views, dim=1)), flow], dim=1)


class ConvGRU(nn.Module):
    """Gated recurrent unit of convolutions."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)
        self.convr = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)
        self.convq = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)

    def forward(self, hidden: Tensor, news: Tensor) -> Tensor:
        both = torch.cat([hidden, news], dim=1)
        update, reset = self.convz(both).sigmoid(), self.convr(both).sigmoid()
        proposal = self.convq(torch.cat([reset * hidden, news], dim=1)).tanh()
        return (1 - update) * hidden + update * proposal


class FlowHead(nn.Module):
    """How far the hidden state wants to move each pixel, in cells."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN, 128, 3, padding=1)
        self.conv2 = nn.Conv2d(128, 2, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(hidden)))


class UpdateBlock(nn.Module):
    """One move: look, remember, shift."""

    def __init__(self) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder()
        self.recurrent_block = nn.ModuleDict({"convgru1": ConvGRU(CONTEXT + 82)})
        self.flow_head = FlowHead()

    def forward(
        self, hidden: Tensor, context: Tensor, correlations: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        news = torch.cat([context, self.motion_encoder(flow, correlations)], dim=1)
        hidden = self.recurrent_block["convgru1"](hidden, news)
        return hidden, self.flow_head(hidden)


class RaftSmall(nn.Module):
    """The whole network; see the description of this file."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_encoder = Encoder(128, normalises=True)
        self.context_encoder = Encoder(HIDDEN + CONTEXT, normalises=False)
        self.update_block = UpdateBlock()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The flow of the last move. Raises ValueError for sizes it cannot take."""
        height, width = fixed.shape[-2:]
        if height % STRIDE or width % STRIDE or min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"sides must be multiples of {STRIDE} and at least {SMALLEST_SIDE} px, "
                f"got {height} x {width}"
            )
        features = self.feature_encoder(torch.cat([fixed, moving]))
        pyramid = _correlations(*features.chunk(2))
        hidden, context = self.context_encoder(fixed).split([HIDDEN, CONTEXT], dim=1)
        hidden, context = hidden.tanh(), context.relu()
        start = _cells(fixed.shape[0], height // STRIDE, width // STRIDE, fixed.device)
        place = start
        for _ in range(MOVES):
            hidden, step = self.update_block(
                hidden, context, _look_up(pyramid, place), place - start
            )
            place = place + step
        flow = F.interpolate(
            place - start, size=(height, width), mode="bilinear", align_corners=True
        )
        return STRIDE * flow


def _correlations(fixed: Tensor, moving: Tensor) -> list[Tensor]:
    """Every cell of `fixed` with every cell of `moving`, (B*h*w, 1, h, w) and averages of it."""
    B, channels, h, w = fixed.shape
    products = fixed.flatten(2).transpose(1, 2) @ moving.flatten(2) / channels**0.5  # (B, hw, hw)
    pyramid = [products.reshape(B * h * w, 1, h, w)]
    for _ in range(LEVELS - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def _look_up(pyramid: list[Tensor], place: Tensor) -> Tensor:
    """Correlations around `place` (B, 2, h, w) at every level -> (B, 196, h, w)."""
    B, _, h, w = place.shape
    steps = torch.arange(-RADIUS, RADIUS + 1, device=place.device, dtype=place.dtype)
    # The first axis of the window moves x: the published weights were trained so.
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    centre = place.permute(0, 2, 3, 1).reshape(B * h * w, 1, 1, 2)
    found = []
    for level, correlations in enumerate(pyramid):
        largest = centre.new_tensor([side - 1 for side in reversed(correlations.shape[-2:])])
        grid = 2 * (centre / 2**level + window) / largest - 1
        values = F.grid_sample(correlations, grid.to(correlations.dtype), align_corners=True)
        found.append(values.reshape(B, h, w, -1))
    return torch.cat(found, dim=-1).permute(0, 3, 1, 2)


def _cells(batch: int, height: int, width: int, device: torch.device) -> Tensor:
    """Where each cell starts, (B, 2, h, w), x first."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x, y]).expand(batch, -1, -1, -1)
