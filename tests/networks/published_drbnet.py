"""Names and shapes of DRBNet's published weights, written down from its description.

Nothing here asks our network. Widths 32, 64, 128, 256; kernels of 7x7 = 49 weights. The authors'
`state_dict` is stored bare. Its names count levels from 1, the full size, to 4; steps up and the
heads of the estimates are called after the level they lead to or stand on, less one: `upconv3` is
at 1/8 for the heads, and leads from 1/8 to 1/4 for the features. A convolution with its activation
is a sequence of two, so `.0` is the convolution; where a head ends without activation (`kernel`),
there is no `.0`. A residual block keeps its only inner part in a list: `stem.0`, convolutions 0 and
2 of it. Source of the names: the attributes in the authors' public repository (DRBNet.py); of the
shapes: the layer tables of the paper's network.
"""

from __future__ import annotations

Shape = tuple[int, ...]

# name, outputs, inputs, side of the kernel
ENCODER = [
    ("conv1_1.0", 32, 3, 3),  # 6 inputs with two views
    ("conv1_2.0", 32, 32, 3),
    ("conv1_3.0", 32, 32, 3),
    ("conv2_1.0", 64, 32, 3),
    ("conv2_2.0", 64, 64, 3),
    ("conv2_3.0", 64, 64, 3),
    ("conv3_1.0", 128, 64, 3),
    ("conv3_2.0", 128, 128, 3),
    ("conv3_3.0", 128, 128, 3),
    ("conv4_1.0", 256, 128, 3),
    ("conv4_2.0", 256, 256, 3),
    ("conv4_3.0", 256, 256, 3),
    ("conv4_4.0.0", 256, 256, 3),
    ("conv4_4.1.stem.0.0", 256, 256, 3),
    ("conv4_4.1.stem.0.2", 256, 256, 3),
    ("conv4_4.2.stem.0.0", 256, 256, 3),
    ("conv4_4.2.stem.0.2", 256, 256, 3),
    ("conv4_4.3.0", 256, 256, 3),
]
DECODER = [
    ("upconv3_u.0", 256, 128, 4),  # transposed: inputs come first
    ("upconv3_1.stem.0.0", 128, 128, 3),
    ("upconv3_1.stem.0.2", 128, 128, 3),
    ("upconv3_2.stem.0.0", 128, 128, 3),
    ("upconv3_2.stem.0.2", 128, 128, 3),
    ("upconv2_u.0", 128, 64, 4),
    ("upconv2_1.stem.0.0", 64, 64, 3),
    ("upconv2_1.stem.0.2", 64, 64, 3),
    ("upconv2_2.stem.0.0", 64, 64, 3),
    ("upconv2_2.stem.0.2", 64, 64, 3),
    ("upconv1_u.0", 64, 32, 4),
    ("upconv1_1.stem.0.0", 32, 32, 3),
    ("upconv1_1.stem.0.2", 32, 32, 3),
    ("upconv1_2.stem.0.0", 32, 32, 3),
    ("upconv1_2.stem.0.2", 32, 32, 3),
]
IMAGE_FEATURES = [
    ("img_d8_feature.0.0", 64, 3, 3),
    ("img_d8_feature.1.0", 128, 64, 3),
    ("img_d8_feature.2.0", 256, 128, 3),
    ("img_d4_feature.0.0", 64, 3, 3),
    ("img_d4_feature.1.0", 128, 64, 3),
    ("img_d4_feature.2.0", 128, 128, 3),
    ("img_d2_feature.0.0", 64, 3, 3),
    ("img_d2_feature.1.0", 64, 64, 3),
    ("img_d2_feature.2.0", 64, 64, 3),
    ("img_d1_feature.0.0", 64, 3, 3),
    ("img_d1_feature.1.0", 64, 64, 3),
    ("img_d1_feature.2.0", 32, 64, 3),
]
HEADS = [
    ("upconv3_kernel.0.0", 256, 512, 3),
    ("upconv3_kernel.1.0", 128, 256, 3),
    ("upconv3_kernel.2", 49, 128, 1),
    ("upconv3_res.0.0", 256, 512, 3),
    ("upconv3_res.1.0", 64, 256, 3),
    ("upconv3_res.2.0", 3, 64, 1),
    ("upconv2_kernel.0.0", 128, 256, 3),
    ("upconv2_kernel.1.0", 128, 128, 3),
    ("upconv2_kernel.2", 49, 128, 1),
    ("upconv2_res.0.0", 128, 256, 3),
    ("upconv2_res.1.0", 64, 128, 3),
    ("upconv2_res.2.0", 3, 64, 1),
    ("upconv1_kernel.0.0", 64, 128, 3),
    ("upconv1_kernel.1.0", 64, 64, 3),
    ("upconv1_kernel.2", 49, 64, 1),
    ("upconv1_res.0.0", 64, 128, 3),
    ("upconv1_res.1.0", 64, 64, 3),
    ("upconv1_res.2.0", 3, 64, 1),
    ("upconv0_kernel.0.0", 64, 64, 3),
    ("upconv0_kernel.1.0", 64, 64, 3),
    ("upconv0_kernel.2", 49, 64, 1),
    ("upconv0_res.0.0", 64, 64, 3),
    ("upconv0_res.1.0", 64, 64, 3),
    ("upconv0_res.2.0", 3, 64, 1),
]


def published_shapes(*, dual_pixel: bool = False) -> dict[str, Shape]:
    """Shape of every tensor by its name; all layers have biases."""
    shapes: dict[str, Shape] = {}
    for name, first, second, side in ENCODER + DECODER + IMAGE_FEATURES + HEADS:
        shapes[f"{name}.weight"] = (first, second, side, side)
        shapes[f"{name}.bias"] = (second if name.endswith("_u.0") else first,)
    if dual_pixel:
        shapes["conv1_1.0.weight"] = (32, 6, 3, 3)
    return shapes
