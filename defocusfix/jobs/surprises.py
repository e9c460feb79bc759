"""Errors that nobody thought of: one photo may fail by them, a row of photos may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from defocusfix.errors import InputError
from defocusfix.jobs.plan import Item

MOST_IN_A_ROW = 2  # if more photos in a row meet one, it is not the photos


class Surprises:
    """Makes errors of single photos of what was not expected, so that a night's work goes on.

    most_in_a_row: of photos that may meet one; the next one's ends the run. expected: errors that
    are let through as they are.
    """

    def __init__(self, most_in_a_row: int, expected: tuple[type[Exception], ...]) -> None:
        self._most_in_a_row = most_in_a_row
        self._expected = expected
        self._n_in_a_row = 0

    @contextmanager
    def about(self, item: Item) -> Iterator[None]:
        """Work on one photo. Raises InputError in place of what was not expected."""
        try:
            yield
        except self._expected:
            raise
        except Exception as error:
            self._n_in_a_row += 1
            if self._n_in_a_row > self._most_in_a_row:
                raise
            raise InputError(
                f"{item.name} met an error inside defocusfix",
                why=f"{type(error).__name__}: {error}",
                fix="defocusfix restore with this photo alone and --debug; please report what it "
                "shows",
            ) from error

    def end_row(self) -> None:
        """A photo went well."""
        self._n_in_a_row = 0
