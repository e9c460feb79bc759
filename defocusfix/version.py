"""The version of defocusfix, written here once; the build reads this line."""

__version__ = "0.1.0.dev0"
