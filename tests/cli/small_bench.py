"""`defocusfix bench` with a small product and small photos, measured without children of its own.

Run as a program: engines of several libraries, opened one after the other, stay out of the process
of the tests.
"""

from __future__ import annotations

import sys

from defocusfix.benchmarking import measure, photos, suite
from defocusfix.cli.app import main
from defocusfix.engines import matrix

if __name__ == "__main__":
    suite.in_child = lambda function, *words: function(*words)
    matrix.SIDE_ON_CPU = 64
    measure.LEAST_SECONDS = 0.0
    photos.SCENE_SIDE, photos.N_LEAVES = 128, 100
    sys.argv = ["defocusfix", "bench", *sys.argv[1:]]
    sys.exit(main())
