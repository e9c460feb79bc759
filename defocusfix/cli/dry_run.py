"""`restore --dry-run`: what would be done, how long it would take, and what room it needs."""

from __future__ import annotations

from dataclasses import replace

from defocusfix.cli import output
from defocusfix.cli.batch import Course, settings_of
from defocusfix.jobs.clock_time import clock_time
from defocusfix.jobs.estimate import Estimate, Prospect, estimate, standing
from defocusfix.jobs.outlook import Outlook
from defocusfix.jobs.plan import Plan
from defocusfix.jobs.trial import try_speed


def foretell(plan: Plan, course: Course) -> None:
    """Tell what carrying out a plan would do, and write nothing."""
    for warning in plan.warnings:
        output.warn(warning)
    recipe, settled = course.recipe, standing
    if plan.home is not None:
        settled = Outlook(
            plan.home,
            settings=settings_of(course)[0],
            on_exists=course.on_exists,
            resumes=course.resumes,
            retries_failed=course.retries_failed,
            verifies=course.verifies,
        ).settled
    found = estimate(plan, recipe.treatment, settled=settled)
    if course.cluster is None and found.todo:
        items = [prospect.item for prospect in found.todo]
        speed = try_speed(items, recipe.restorers(), recipe.treatment)
        found = replace(found, seconds_per_megapixel=speed)
    for prospect in found.prospects:
        if course.as_json:
            output.data_json(prospect.to_json())
        else:
            output.data(_line(prospect))
    if course.as_json:
        output.data_json(found.to_json())
        return
    for left_out, number in plan.left_out.most_common():
        output.detail(f"left out: {number:,} {left_out.value}")
    for line in _sums(found):
        output.say(line)
    if not found.fits:
        output.warn(f"the outputs will hardly fit on the disk of {found.place}")


def _line(prospect: Prospect) -> str:
    item = prospect.item
    size = "" if prospect.header is None else f"{prospect.megapixels:.1f} MP"
    return f"{prospect.action:7} {size:>9}  {item.name} -> {item.output or 'standard output'}"


def _sums(found: Estimate) -> list[str]:
    n_left = len(found.prospects) - len(found.todo)
    lines = [f"to do: {len(found.todo):,} photos, {found.megapixels:,.1f} MP"]
    if found.n_unknown:
        lines[0] += f", {found.n_unknown:,} of unknown size not counted"
    if n_left:
        lines.append(f"not to do: {n_left:,} photos, for the reasons above")
    if found.seconds is not None:
        lines.append(f"time: about {clock_time(found.seconds)} on this machine")
    free = "" if found.free_bytes is None else f" of {_size(found.free_bytes)} that are free"
    lines.append(f"disk space: about {_size(found.n_bytes)}{free}")
    return lines


def _size(n_bytes: int) -> str:
    """Bytes in the unit that suits them."""
    value, unit = n_bytes / 1e6, "MB"
    if value >= 1000:
        value, unit = value / 1e3, "GB"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:,.1f} {unit}"
