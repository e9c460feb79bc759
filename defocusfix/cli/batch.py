"""How `restore` goes through its photos: one, those of a folder, or of a folder that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from defocusfix.cli import output
from defocusfix.cli.progress import track
from defocusfix.cli.stopping import stoppable
from defocusfix.cli.telling import Teller, raise_what_failed
from defocusfix.engines.cores import shared_out
from defocusfix.engines.select import likely_device
from defocusfix.jobs.events import Event, Finished
from defocusfix.jobs.files import Streams
from defocusfix.jobs.plan import OnExists, Plan
from defocusfix.jobs.recipe import Recipe
from defocusfix.jobs.run import Stopped, Work, run_plan

if TYPE_CHECKING:
    from defocusfix.jobs.batch_report import BatchReport
    from defocusfix.jobs.bookkeeping import Bookkeeping
    from defocusfix.jobs.folders import Found
    from defocusfix.jobs.report_pictures import PictureStore

RETRY = "the others are done; --retry-failed tries these again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How photos are gone through, beside what is done to each."""

    recipe: Recipe
    demands: frozenset[str]
    """Which of engine, device and precision were asked for."""
    as_json: bool
    home: Path | None = None
    """The folder that keeps the journal; None for no journal."""
    folders: tuple[Path, ...] = ()
    """Those that were named."""
    on_exists: OnExists = OnExists.ERROR
    with_map: bool = False
    """Whether defocus maps are written besides."""
    resumes: bool = True
    retries_failed: bool = False
    verifies: bool = False
    fails_fast: bool = False
    cluster: str | None = None
    """Address of the cluster that does the work; None for this process."""
    report: Path | None = None
    """Where a page about all photos goes; None for none."""
    jobs: int | None = None
    """Photos that are computed at the same time; None for as many as pay."""


def carry_out(plan: Plan, course: Course) -> None:
    """Do the work of a plan and tell of it. Raises what photos failed of, or what ended the run."""
    for warning in plan.warnings:
        output.warn(warning)
    with Passage(course) as passage:
        finished = passage.run(plan)
    fix = {} if plan.home is None else {"fix": RETRY}
    raise_what_failed(finished, len(plan.items), "restored", **fix)


def watch(
    course: Course,
    find: Callable[[Path], Sequence[Found]],
    plan_of: Callable[[], Plan],
    *,
    is_in_place: bool,
) -> None:
    """Do the photos of the folders as they arrive, until a signal ends it.

    find: the photos of one folder. plan_of: the plan of all that is there.
    """
    from defocusfix.jobs.watch import Watcher, can_be_read

    with Passage(course) as passage:

        def restore(photos: Sequence[Found]) -> Finished:
            wanted = {photo.path for photo in photos}
            plan = plan_of()
            return passage.run(
                replace(plan, items=tuple(item for item in plan.items if item.source in wanted))
            )

        output.say(f"watching {', '.join(map(str, course.folders))}; Ctrl-C ends it")
        Watcher(
            course.folders,
            find=find,
            restore=restore,
            is_whole=partial(can_be_read, limits=course.recipe.treatment.limits),
            tell=output.say,
            replaces_photos=is_in_place,
        ).run(passage.is_stopped)
        passage.stopping.end()


class Passage:
    """What stays open while one plan, or several in turn, are carried out: network, journal, page.

    Once it is left the page is written, whatever ended it.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._open = ExitStack()
        self._books: Bookkeeping | None = None
        self._report: BatchReport | None = None
        self._work_of: Callable[[int, int | None], Work] | None = None

    def __enter__(self) -> Self:
        course = self._course
        with ExitStack() as stack:
            pictures = stack.enter_context(_pictures(course))
            self._books = _books(course, stack)
            if pictures is not None and course.report is not None:
                from defocusfix.jobs.batch_report import BatchReport, nothing_known, settings_facts

                recipe = course.recipe
                self._report = BatchReport(
                    course.report,
                    pictures,
                    settings_facts(recipe.treatment, recipe.settings),
                    earlier=nothing_known if self._books is None else self._books.known,
                    limits=recipe.treatment.limits,
                )
                stack.callback(_write_page, self._report)
            details = course.report or course.home
            self._teller = stack.enter_context(
                Teller(
                    "Restoring",
                    demands=course.demands,
                    as_json=course.as_json,
                    details=details,
                )
            )
            if course.cluster is None:
                streams = Streams(output.standard_input, output.data_bytes)
                self._work_of = cache(partial(_work_of, course.recipe, streams, pictures))
            self.stopping = stack.enter_context(stoppable())
            self._open = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.__exit__(*failure)  # type: ignore[arg-type]

    def is_stopped(self) -> bool:
        """Whether a signal has asked for an end."""
        return self.stopping.stop.is_asked

    def run(self, plan: Plan) -> Finished:
        """Carry out one plan. Raises what the signal means that stopped it before its end."""
        course = self._course
        go: Callable[..., Finished]
        if course.cluster is not None:
            from defocusfix.jobs.cluster import run_plan_on

            go = partial(run_plan_on, course.cluster, plan, course.recipe)
        elif self._work_of is not None:
            threads = threads_of_jobs(course, len(plan.todo))
            work, *beside = map(self._work_of, range(len(threads)), threads)
            go = partial(run_plan, plan, work, beside=beside)
        try:
            return go(
                self._tell,
                books=self._books,
                stop=self.stopping.stop,
                fails_fast=course.fails_fast,
            )
        except Stopped:
            self.stopping.end()

    def _tell(self, event: Event) -> None:
        if self._report is not None:
            self._report(event)
        self._teller(event)


def threads_of_jobs(course: Course, n_photos: int) -> Sequence[int | None]:
    """How many threads each of the photos gets that are computed at the same time."""
    recipe = course.recipe
    device = likely_device(engine=recipe.engine, device=recipe.device, precision=recipe.precision)
    if course.jobs is None and device != "cpu":
        return (recipe.threads,)
    return shared_out(n_photos, jobs=course.jobs, threads=recipe.threads)


def _work_of(
    recipe: Recipe, streams: Streams, pictures: PictureStore | None, job: int, threads: int | None
) -> Work:
    """What does one of the jobs, which have numbers so that no two have one network."""
    return replace(recipe, threads=threads).work(streams, pictures)


def _books(course: Course, stack: ExitStack) -> Bookkeeping | None:
    """The journal, open until the stack is left; None if none is kept."""
    if course.home is None:
        return None
    from defocusfix.jobs.bookkeeping import Bookkeeping

    settings, model_sha256 = settings_of(course)
    books = stack.enter_context(
        Bookkeeping(
            course.home,
            settings=settings,
            model_sha256=model_sha256,
            on_exists=course.on_exists,
            resumes=course.resumes,
            retries_failed=course.retries_failed,
            verifies=course.verifies,
            folders=course.folders,
            hashes_inputs=course.cluster is None,
        )
    )
    if not books.has_locks:
        output.warn(
            f"{course.home} is on a disk without locks, so another run there goes unnoticed; "
            "let only one run at a time use it, or give each its --shard"
        )
    return books


def settings_of(course: Course) -> tuple[str, str]:
    """What the journal knows the settings of a course by, and the sha256 of its weights."""
    from defocusfix.jobs.fingerprint import settings_fingerprint, sha256_of
    from defocusfix.restoration.restorer import model_file

    recipe = course.recipe
    model_sha256 = sha256_of(model_file(recipe.model))
    settings = settings_fingerprint(
        recipe.treatment, recipe.settings, model_sha256=model_sha256, with_map=course.with_map
    )
    return settings, model_sha256


@contextmanager
def _pictures(course: Course) -> Iterator[PictureStore | None]:
    """Where the pictures for the page are kept; None if no page is wanted."""
    if course.report is None:
        yield None
        return
    from defocusfix.jobs.batch_report import check_report_place, picture_store

    check_report_place(course.report)
    with picture_store(course.home) as store:
        yield store


def _write_page(report: BatchReport) -> None:
    with track("Writing the report", report.n_shown, "photos") as advance:
        report.write(advance)
    output.say(f"{report.path}: report on all photos")
