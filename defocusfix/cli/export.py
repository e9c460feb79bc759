"""`defocusfix export`: one ONNX file from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folder of a training run, or weights as a .safetensors file. Of several that "
            "began from the same weights, the mean is taken.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    safetensors: Annotated[
        Path | None,
        typer.Option(help="Also write the weights alone, for training on, to this file."),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half/--no-half",
            help="Store weights in 16 bits: half the size; the arithmetic stays in 32.",
        ),
    ] = True,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also write FILE.int8.onnx beside it, whose larger convolutions multiply in 8 "
            "bits: faster where processors have VNNI or AMX, and taken there for 8-bit photos.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are already there.")
    ] = False,
) -> None:
    """Turn trained weights into one file that restores photos.

    The file says what it is: architecture, licence, training data, revision and a checksum of its
    weights. It is only written if it gives the same result as the trained network, to 1e-4 of the
    range from black to white.

    It holds the network alone. Sides of its images must be multiples of what it calls
    size_multiple, 16 px for FocusNet. A network with levels takes one size of a photo at a time,
    with what it made of half that size as a second input. `restore` sees to both, for photos of any
    size.

    Several runs that went on from the same weights, averaged, often restore better than each of
    them. A run that is named twice counts twice.

    With --int8, scenes of random textures are rendered, from which the ranges of the 8-bit numbers
    are read; that takes a minute. The file is only written if its results differ by less than a
    tenth of what the network changes in other such scenes.

    Examples:

      defocusfix export runs/first -o mine.onnx

      defocusfix restore photo.jpg --model mine.onnx

      defocusfix export runs/second runs/third -o mean.onnx
    """
    from defocusfix.cli import output as talk
    from defocusfix.engines.model_file import INT8, ONNX
    from defocusfix.engines.select import Way, absence
    from defocusfix.errors import OutputError
    from defocusfix.training.eight_bits import export_int8
    from defocusfix.training.export import export_onnx, find_weights, load_mean
    from defocusfix.training.weights import write_weights

    if safetensors is not None and safetensors.exists() and not overwrite:
        raise OutputError(f"{safetensors} exists already", fix="another name, or --overwrite")
    if int8 and (refusal := absence(Way("onnxruntime", "cpu", "int8"))) is not None:
        raise refusal  # the file could not be tried
    network, spec = load_mean([find_weights(source) for source in sources])
    exported = export_onnx(network, spec, output, half=half, overwrite=overwrite)
    for parity in exported.parities:
        batch, height, width = parity.shape
        talk.say(
            f"{batch} x {height} x {width} px: differs from torch by {parity.engine:.1e}"
            + (f", from 32-bit weights by {parity.rounding:.1e}" if half else "")
        )
    if int8:
        small = output.with_name(output.name.removesuffix(ONNX) + INT8)
        found = export_int8(network, spec, small, overwrite=overwrite)
        talk.say(
            f"in 8 bits: {found.size / 1e6:.1f} MB, {found.blocks} blocks; differs by "
            f"{found.difference:.1%} of what the network changes"
        )
        talk.data(str(found.path))
    if safetensors is not None:
        write_weights(safetensors, network.state_dict(), spec, half=half)
        talk.data(str(safetensors))
    talk.say(f"{spec.name}: {exported.size / 1e6:.1f} MB, weights {spec.weights_sha256[:12]}")
    talk.data(str(exported.path))
