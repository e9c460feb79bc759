from __future__ import annotations

import pytest

from defocusfix.engines import chip, cores

LINUX = """processor\t: 0
model name\t: {name}
flags\t\t: fpu sse2 {flags}

processor\t: 1
model name\t: {name}
flags\t\t: fpu sse2 {flags}
"""


@pytest.mark.parametrize(
    ("flags", "is_fast"),
    [
        ("avx2 avx512f avx512_bf16", True),
        ("avx2 avx512f avx512_bf16 amx_bf16", True),
        ("avx2 avx512f", False),  # where bf16 is computed by converting to and fro
        ("avx2", False),
    ],
)
def test_bf16_is_fast_where_the_processor_multiplies_in_it(tmp_path, monkeypatch, flags, is_fast):
    monkeypatch.setattr(chip, "CPU_FILE", tmp_path / "cpuinfo")
    chip.CPU_FILE.write_text(LINUX.format(name="Some Xeon", flags=flags))
    assert chip.has_fast_bf16() is is_fast
    assert chip.processor_name() == "Some Xeon"
    assert chip.abilities() == tuple(flags.split())


def test_where_the_system_tells_nothing_bf16_does_not_count_as_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(chip, "CPU_FILE", tmp_path / "none")
    assert not chip.has_fast_bf16()
    assert chip.abilities() == ()
    assert chip.processor_name()


def test_two_processors_of_one_core_count_once(tmp_path, monkeypatch):
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{processor}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(cores, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(cores, "QUOTA_FILE", tmp_path / "none")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert cores.physical_cores() == 2
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: {1, 3}, raising=False)
    assert cores.physical_cores() == 1


def test_a_container_that_grants_less_time_lowers_the_number(tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    quota.write_text("150000 100000\n")
    monkeypatch.setattr(cores, "CPU_FOLDER", tmp_path)
    monkeypatch.setattr(cores, "QUOTA_FILE", quota)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cores.physical_cores() == 2
    quota.write_text("max 100000\n")
    assert cores.physical_cores() == 8


def test_a_container_that_grants_less_time_than_there_are_processors_is_rationed(
    tmp_path, monkeypatch
):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(cores, "QUOTA_FILE", quota)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 8)
    assert not cores.is_rationed()
    quota.write_text("400000 100000\n")
    assert cores.is_rationed()
    quota.write_text("800000 100000\n")
    assert not cores.is_rationed()


@pytest.mark.parametrize(
    ("n_photos", "wishes", "threads"),
    [
        (1000, {"threads": 1}, [1]),
        (1000, {"threads": 2}, [1, 1]),
        (1000, {"threads": 6}, [1, 2, 1, 2]),
        (1000, {"threads": 16}, [4, 4, 4, 4]),
        (1, {"threads": 8}, [8]),  # all of them for the only photo
        (3, {"threads": 8}, [8]),
        (4, {"threads": 8}, [4, 4]),
        (0, {"threads": 8}, [8]),
        (1000, {"threads": 4, "jobs": 1}, [4]),
        (1000, {"threads": 2, "jobs": 3}, [1, 1, 1]),
        (2, {"threads": 8, "jobs": 8}, [4, 4]),
    ],
)
def test_the_threads_are_shared_out_among_photos_in_work_at_once(n_photos, wishes, threads):
    assert cores.shared_out(n_photos, **wishes) == threads


@pytest.mark.parametrize("wishes", [{"jobs": 0}, {"threads": 0}, {"jobs": -1, "threads": 2}])
def test_less_than_one_photo_or_thread_is_refused(wishes):
    with pytest.raises(ValueError, match="jobs on"):
        cores.shared_out(10, **wishes)


@pytest.mark.parametrize(
    ("flags", "is_exact"),
    [
        ("avx2 avx512f avx512_vnni", True),
        ("avx2 avx_vnni", True),
        ("avx2 avx512f avx512_bf16", False),  # sums of two products in 16 bits would overflow
        ("asimddp", False),  # not measured
    ],
)
def test_eight_bits_are_exact_where_products_are_summed_in_32(
    tmp_path, monkeypatch, flags, is_exact
):
    monkeypatch.setattr(chip, "CPU_FILE", tmp_path / "cpuinfo")
    chip.CPU_FILE.write_text(f"model name : A\nflags : {flags}\n")
    assert chip.has_exact_int8() is is_exact
