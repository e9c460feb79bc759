"""How fast photos are restored here, found by restoring pieces of some of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from defocusfix.errors import InputError
from defocusfix.jobs.dual_pixel import ViewFiles
from defocusfix.jobs.plan import Item
from defocusfix.jobs.treatment import Area, Treatment
from defocusfix.photo.limits import Limits
from defocusfix.photo.photo import Photo
from defocusfix.photo.read import read_photo
from defocusfix.restoration.restorer import Restorer

MOST_PHOTOS = 4
ENOUGH_S = 8.0  # after which no further photo is tried
SMALLEST_PX, LARGEST_PX = 512, 2048  # sides of a piece
QUICK_S = 1.0  # a piece that takes less is followed by a larger one


def try_speed(
    items: Sequence[Item],
    restorer_for: Callable[[int], Restorer],
    treatment: Treatment,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Seconds that a megapixel takes in the middle of a run, with the restorer's own settings.

    Pieces from the middle of photos all over the plan are restored, and nothing is written. Reading
    goes on beside that, so it counts only where it is slower. None if no photo can be read. Raises
    InputError for views that cannot be read or have another size than the photo.
    """
    began = clock()
    views = None if treatment.views is None else ViewFiles(treatment.views, treatment.limits)
    computing = read_seconds = computed_mp = read_mp = 0.0
    side = SMALLEST_PX
    for item in _all_over(items):
        start = clock()
        photo = _read(item, treatment.limits)
        if photo is None:
            continue
        read_seconds += clock() - start
        read_mp += photo.megapixels
        restorer = restorer_for(photo.bits)
        area = _middle(photo, side)
        seconds = []
        for _ in range(2):  # the first one also prepares the engine
            start = clock()
            of_photo = None if views is None else views.of(item, photo)
            restorer.restore_pixels(photo.pixels, views=of_photo, area=area)
            seconds.append(clock() - start)
        computing += min(seconds)
        computed_mp += area[2] * area[3] / 1e6
        if min(seconds) < QUICK_S:
            side = min(2 * side, LARGEST_PX)
        if clock() - began > ENOUGH_S:
            break
    return max(computing / computed_mp, read_seconds / read_mp) if computed_mp else None


def _all_over(items: Sequence[Item]) -> Sequence[Item]:
    photos = [item for item in items if item.source is not None]
    step = max(1, len(photos) // MOST_PHOTOS)
    return photos[step // 2 :: step][:MOST_PHOTOS]


def _read(item: Item, limits: Limits) -> Photo | None:
    try:
        return None if item.source is None else read_photo(item.source, limits=limits)
    except InputError:
        return None


def _middle(photo: Photo, side: int) -> Area:
    width, height = min(side, photo.width), min(side, photo.height)
    return (photo.width - width) // 2, (photo.height - height) // 2, width, height
