"""Carry out a plan by giving its photos to a crew of workers elsewhere, and keep the books of it.

Which machines the crew has, and what becomes of a photo whose machine is lost, is its own matter;
`cluster` has one. Photos are told of when they are done, since nobody watches them meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Protocol

from defocusfix.errors import DefocusfixError
from defocusfix.jobs.brief import files_of
from defocusfix.jobs.events import (
    Event,
    Finished,
    PhotoDone,
    PhotoFailed,
    PhotoStarted,
    Progress,
    Settled,
    Started,
)
from defocusfix.jobs.fingerprint import FileState
from defocusfix.jobs.plan import Item, Plan
from defocusfix.jobs.reader import MOST_SETTLED, PHOTO_ERRORS, is_claimed
from defocusfix.jobs.remote_task import Broken, Carried, Order, Outcome, present_state
from defocusfix.jobs.run import Books, Stop, Stopped

QUEUE = 2  # photos given out for each one that can be computed at once, so that no worker waits
WAIT = 0.5  # seconds after which a wish to stop is noticed


class RemoteBooks(Books, Protocol):
    """Books that believe what other machines say of files."""

    def done(
        self, done: PhotoDone, *, source: FileState | None = None, output: FileState | None = None
    ) -> None:
        """Write down a photo that is saved; source and output as its worker read them."""


class Crew(Protocol):
    """Workers, to whom photos are given by their number in the order of giving."""

    def size(self) -> int:
        """Photos that can be computed at once. Raises NetworkError if no machine is left."""

    def begin(self, number: int, order: Order) -> None:
        """Give out one photo, to be done when a worker is free."""

    def ended(self, seconds: float) -> tuple[int, Outcome] | None:
        """A photo that has ended, each once; None if none does within so many seconds."""

    def withdraw(self) -> None:
        """Let nobody begin another photo: those that are not begun yet end as refused."""


def distribute(
    plan: Plan,
    crew: Crew,
    tell: Callable[[Event], None],
    *,
    program: str,
    books: RemoteBooks | None = None,
    stop: Stop | None = None,
    fails_fast: bool = False,
) -> Finished:
    """Do the work of a plan as `run_plan` does, by a crew, and tell the same events.

    Asked to stop, it waits for the photos that are being computed. Raises what `run_plan` raises,
    and what the crew does.
    """
    start = time.perf_counter()
    tell(Started(program, plan.items))
    run = _Run(crew, tell, books, stop or Stop(), fails_fast)
    ending: DefocusfixError | None = None
    for step in (partial(run.carry_out, plan.todo), run.drain):
        try:
            step()
        except DefocusfixError as error:
            ending = ending or error
    n_todo = len(plan.todo)
    finished = Finished(
        n_done=run.n_done,
        n_skipped=run.n_skipped + len(plan.items) - n_todo,
        failed=tuple(run.failed),
        seconds=time.perf_counter() - start,
        n_claimed=run.n_claimed,
        n_left=n_todo - run.n_done - run.n_skipped - run.n_claimed - len(run.failed),
        megapixels=run.megapixels,
    )
    tell(finished)
    if ending is not None:
        raise ending
    if run.stop.is_asked and finished.n_left:
        raise Stopped(finished)
    return finished


@dataclass(slots=True)
class _Run:
    """What is given out, and what became of the others."""

    crew: Crew
    tell: Callable[[Event], None]
    books: RemoteBooks | None
    stop: Stop
    fails_fast: bool
    given: dict[int, Item] = field(default_factory=dict)
    n_given: int = 0
    is_over: bool = False
    """Whether nothing more is given out."""
    n_done: int = 0
    n_skipped: int = 0
    n_claimed: int = 0
    megapixels: float = 0.0
    failed: list[PhotoFailed] = field(default_factory=list)

    def carry_out(self, items: Sequence[Item]) -> None:
        """Give out all items in order, and last those that another run was at."""
        put_off: list[Item] = []
        upcoming = chain(((item, True) for item in items), ((item, False) for item in put_off))
        has_more = bool(items)
        while (has_more or self.given) and not (self.is_over or self.stop.is_asked):
            wanted = QUEUE * self.crew.size()
            has_more = self._give_out(upcoming, put_off, wanted)
            self._settle(WAIT if len(self.given) >= wanted or not has_more else 0.0)

    def drain(self) -> None:
        """Wait for what is being computed, and take back what is not begun."""
        self.is_over = True
        if self.given:
            self.crew.withdraw()
        while self.given:
            self._settle(WAIT)

    def _give_out(
        self, upcoming: Iterator[tuple[Item, bool]], put_off: list[Item], wanted: int
    ) -> bool:
        """Go on until as many are given out as are wanted, or many need no work.

        Gives whether there may be more.
        """
        n_settled = 0
        while len(self.given) < wanted and n_settled < MOST_SETTLED and not self.is_over:
            item, may_be_put_off = next(upcoming, (None, False))
            if item is None:
                return False
            try:
                mine = self._take(item)
            except PHOTO_ERRORS as error:
                self._fail(PhotoFailed(item, error))
                continue
            if isinstance(mine, Item):
                self._begin(mine)
            elif may_be_put_off and is_claimed(mine):
                put_off.append(item)
            else:
                self._pass_over(mine)
                n_settled += 1
        return True

    def _take(self, item: Item) -> Item | Settled:
        files_of(item)
        return item if self.books is None else self.books.take(item)

    def _begin(self, item: Item) -> None:
        if self.books is not None:
            self.books.check()
        _, output = files_of(item)
        self.crew.begin(self.n_given, Order(absolute_item(item), present_state(output)))
        self.given[self.n_given] = item
        self.n_given += 1

    def _settle(self, seconds: float) -> None:
        """Tell and write down what has ended next, if anything has within so many seconds."""
        ended = self.crew.ended(seconds)
        if ended is None:
            return
        number, outcome = ended
        item = self.given.pop(number)
        if isinstance(outcome, Carried):
            self._finish(item, outcome)
        elif isinstance(outcome, Broken):
            outcome.error.__cause__ = outcome.cause
            self._fail(PhotoFailed(item, outcome.error))
        elif not self.is_over:
            raise outcome.error

    def _finish(self, item: Item, carried: Carried) -> None:
        done = replace(carried.done, item=item)
        if self.books is not None:
            self.books.done(done, source=carried.source, output=carried.output)
        self.n_done += 1
        self.megapixels += done.megapixels
        self.tell(PhotoStarted(item, done.picture, done.megapixels, done.method))
        self.tell(Progress(item, 1.0, 1.0))
        self.tell(done)

    def _pass_over(self, event: Settled) -> None:
        if isinstance(event, PhotoFailed):
            self.failed.append(event)
        elif is_claimed(event):
            self.n_claimed += 1
        else:
            self.n_skipped += 1
        self.tell(event)

    def _fail(self, failure: PhotoFailed) -> None:
        if self.books is not None:
            self.books.failed(failure)
        self.failed.append(failure)
        self.tell(failure)
        self.is_over = self.is_over or self.fails_fast


def absolute_item(item: Item) -> Item:
    """The item with paths that mean the same in another folder and on another machine."""

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    return replace(
        item,
        source=absolute(item.source),
        output=absolute(item.output),
        map_output=absolute(item.map_output),
        comparison_output=absolute(item.comparison_output),
        backup_output=absolute(item.backup_output),
    )
