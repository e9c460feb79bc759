from __future__ import annotations

import numpy as np
import pytest

from defocusfix.engines.memory import loading_error, tile_error
from defocusfix.errors import DeviceError, DeviceMemoryError

TILE = {"image": np.zeros((1, 3, 32, 64), np.float32)}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("bfc_arena.cc:360 BFCArena Failed to allocate memory for buffer of size 9"),
        RuntimeError("cpu_memory.cpp:257:\nFailed to allocate 50331648 bytes of memory\n"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_every_library_is_understood_when_it_says_that_memory_ran_out(error):
    told = tile_error(error, TILE, engine="library 1.0", device="cuda:0")
    assert type(told) is DeviceMemoryError
    assert "64 x 32 px" in told.what
    assert told.why.startswith("library 1.0: ")
    assert "--tile" in told.fix
    assert "--device cpu" in told.fix
    assert type(loading_error(error, engine="library", device="cpu")) is DeviceMemoryError


def test_any_other_trouble_is_not_taken_for_a_lack_of_memory():
    trouble = RuntimeError("no kernel image is available for execution on the device\nat 0x7f")
    told = tile_error(trouble, TILE, engine="library 1.0", device="cuda:0")
    assert type(told) is DeviceError
    assert told.why == "no kernel image is available for execution on the device"
    assert type(loading_error(trouble, engine="library", device="cuda:0")) is DeviceError


def test_the_path_through_a_library_is_left_out():
    trouble = RuntimeError(
        "Exception from src/inference/infer_request.cpp:246:\n"
        "Caught exception: Exception from src/plugins/node.cpp:794:\nthe reason\nmore\n"
    )
    assert tile_error(trouble, TILE, engine="library", device="cpu").why == "the reason"
    assert tile_error(RuntimeError(), TILE, engine="library", device="cpu").why == "RuntimeError"


def test_of_a_long_message_only_the_words_about_memory_are_told():
    long = RuntimeError(
        "Status Message: /x/bfc_arena.cc void* f() Failed to allocate 9 bytes; more"
    )
    told = tile_error(long, TILE, engine="library 1.0", device="cpu")
    assert told.why == "library 1.0: Failed to allocate 9 bytes"
    assert told.fix == "a smaller --tile"
