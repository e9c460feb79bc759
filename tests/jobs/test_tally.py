from __future__ import annotations

from defocusfix.jobs.tally import MOST_KINDS, MOST_NAMES, OTHER, Tally


def test_sentences_that_differ_in_numbers_only_are_one_kind_with_a_few_names():
    tally = Tally()
    for number in range(10):
        tally.add(f"cut into {number}.5 pieces of 1,{number:03}", f"{number}.jpg")
    tally.add("profile left out", "0.jpg")
    first, second = tally
    assert (first.text, first.n_photos) == ("cut into 0.5 pieces of 1,000", 10)
    assert first.names == [f"{number}.jpg" for number in range(MOST_NAMES)]
    assert (second.text, second.n_photos) == ("profile left out", 1)


def test_no_more_is_kept_however_many_kinds_there_are():
    tally = Tally()
    for number in range(1000):
        tally.add("x" * (number + 1), "a.jpg")
    *_, last = kinds = list(tally)
    assert len(kinds) == MOST_KINDS + 1
    assert (last.text, last.n_photos) == (OTHER, 1000 - MOST_KINDS)
