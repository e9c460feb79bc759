"""How large the blur of a point is, from the lens, its focus and the point's distance.

Sources: Hecht, Optics, section 5.2 (thin-lens equation, similar triangles); Ray, Applied
Photographic Optics, chapter 22 (hyperfocal distance, depth of field).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ROUNDING = 1e-12  # relative slack at the limits, so that a blur computed at one leads back to it


class DepthOfField(NamedTuple):
    """Nearest and farthest distance with no more than the permitted blur, in metres."""

    near: float
    far: float


@dataclass(frozen=True, slots=True)
class Lens:
    """A thin lens focused at one distance. Lengths in metres, distances from the lens.

    Blur is signed: positive behind the plane of focus, negative in front of it, 0 on it.
    Distances and blurs may be numbers or arrays; the result has the same shape.
    """

    focal_length: float
    """Distance behind the lens at which it images infinity; positive."""
    f_number: float
    """Focal length over the diameter of the aperture; positive."""
    focus_distance: float
    """Distance of the plane of focus, beyond the focal length; math.inf is allowed."""

    def __post_init__(self) -> None:
        for name in ("focal_length", "f_number"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and positive, not {value}")
        if not self.focus_distance > self.focal_length:
            raise ValueError(
                f"focus_distance must exceed the focal length, {self.focal_length} m, "
                f"not {self.focus_distance} m"
            )

    @property
    def aperture_diameter(self) -> float:
        """In metres; blur in front of the plane of focus stays below it."""
        return self.focal_length / self.f_number

    @property
    def blur_at_infinity(self) -> float:
        """Blur-disc diameter of the most distant points, in metres: the largest behind focus."""
        return self._blur_per_vergence / self.focus_distance

    @property
    def _blur_per_vergence(self) -> float:
        # Similar triangles give A f / (s - f) * (1 - s / d) for aperture A, focal length f,
        # focus distance s and distance d. As A f / (1 - f / s) * (1 / s - 1 / d) both s and d
        # may be infinite.
        return (
            self.aperture_diameter
            * self.focal_length
            / (1 - self.focal_length / self.focus_distance)
        )

    def circle_of_confusion(self, distance: ArrayLike) -> Floats:
        """Signed blur-disc diameter on the sensor, in metres.

        distance: object distances in metres, each beyond the focal length; inf is allowed.
        Raises ValueError if any distance is at or inside the focal length.
        """
        distances = np.asarray(distance, dtype=np.float64)
        if not np.all(distances > self.focal_length):
            raise ValueError(f"distances must exceed the focal length, {self.focal_length} m")
        return np.asarray(self._blur_per_vergence * (1 / self.focus_distance - 1 / distances))

    def distance(self, circle_of_confusion: ArrayLike) -> Floats:
        """Object distance in metres of the points that have this blur: the inverse.

        circle_of_confusion: signed diameters in metres; `blur_at_infinity` gives inf.
        Raises ValueError if any is more than `blur_at_infinity`, or as large as the aperture
        in front of the plane of focus: no distance has such a blur.
        """
        diameters = np.asarray(circle_of_confusion, dtype=np.float64)
        slack = ROUNDING * self.aperture_diameter
        if not np.all(diameters <= self.blur_at_infinity + slack):
            raise ValueError(f"behind the focus, blur ends at {self.blur_at_infinity} m")
        if not np.all(diameters > -self.aperture_diameter):
            raise ValueError(f"in front of the focus, blur ends at {self.aperture_diameter} m")
        vergence = 1 / self.focus_distance - diameters / self._blur_per_vergence
        is_finite = diameters < self.blur_at_infinity - slack
        return np.asarray(
            np.divide(1, vergence, out=np.full_like(vergence, np.inf), where=is_finite)
        )

    def radius_px(self, distance: ArrayLike, *, sensor_width: float, image_width: int) -> Floats:
        """Signed blur radius in pixels of the image.

        distance: as in `circle_of_confusion`, which also names the errors.
        sensor_width: width in metres of the part of the sensor that the image shows.
        image_width: its width in pixels.
        """
        pixels_per_metre = image_width / sensor_width
        return self.circle_of_confusion(distance) * (pixels_per_metre / 2)

    def distance_of_radius_px(
        self, radius_px: ArrayLike, *, sensor_width: float, image_width: int
    ) -> Floats:
        """Object distance in metres from the signed blur radius: the inverse of `radius_px`."""
        metres_per_pixel = sensor_width / image_width
        return self.distance(np.asarray(radius_px, dtype=np.float64) * (2 * metres_per_pixel))

    def hyperfocal_distance(self, permitted_circle: float) -> float:
        """Nearest focus distance, in metres, at which infinity has no more than this blur.

        permitted_circle: permitted blur-disc diameter in metres, positive.
        Raises ValueError if it is not positive.
        """
        if not permitted_circle > 0:
            raise ValueError(f"a permitted circle must be positive, not {permitted_circle} m")
        return self.focal_length * (1 + self.aperture_diameter / permitted_circle)

    def depth_of_field(self, permitted_circle: float) -> DepthOfField:
        """The distances that look sharp: `far` is inf from the hyperfocal distance on.

        permitted_circle: permitted blur-disc diameter in metres, positive and less than the
        diameter of the aperture. Raises ValueError otherwise.
        """
        if not 0 < permitted_circle < self.aperture_diameter:
            raise ValueError(
                f"a permitted circle must be positive and less than the aperture, "
                f"{self.aperture_diameter} m, not {permitted_circle} m"
            )
        near = float(self.distance(-permitted_circle))
        far = float(self.distance(min(permitted_circle, self.blur_at_infinity)))
        return DepthOfField(near, far)
