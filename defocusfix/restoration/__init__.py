"""One photo in, one photo out: the picture, as an array, through a network in tiles."""

from __future__ import annotations

from defocusfix.restoration.defocus_map import DefocusMap
from defocusfix.restoration.quick import restore
from defocusfix.restoration.restorer import Restoration, Restorer, open_restorer
from defocusfix.restoration.settings import RestoreSettings

__all__ = [
    "DefocusMap",
    "Restoration",
    "RestoreSettings",
    "Restorer",
    "open_restorer",
    "restore",
]
