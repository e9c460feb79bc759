"""Settings of a run: TOML and `--set key=value` to frozen dataclasses, and back to TOML.

A configuration has two tables: `[trainer]`, the same for every recipe, and `[recipe]`, which is
the recipe's own `Config`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomlkit
from tomlkit.exceptions import ParseError

from defocusfix.errors import InputError, UsageError
from defocusfix.training.recipe import Recipe
from defocusfix.training.recipes import RECIPES

Settings = TypeVar("Settings")
Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """What the loop needs to know, whatever the recipe."""

    seed: int = 0
    """Of the networks' first weights and of dropout; a recipe's data has its own."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps; auto takes a CUDA GPU where there is one."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of the networks' arithmetic; weights and losses are always fp32."""
    compile: bool = False
    """Compile the parts of the inference module: slow to start, sometimes faster steps."""
    ema_decay: float = 0.999
    """Share of the weights' average that stays at every step."""
    schedule_by: Literal["steps", "time", "either"] = "steps"
    """What ends a stage and drives its schedules: its steps, its share of max_hours, or whichever
    of the two is over sooner."""
    max_hours: float = 0.0
    """Hours after which the run stops; 0 for no limit. Earlier commands of the run count too."""
    log_steps: int = 50
    """Steps between two rows of the metrics."""
    save_minutes: float = 10.0
    """Minutes between two checkpoints."""
    validate_minutes: float = 0.0
    """Minutes between two validations; 0 for none by time."""
    validate_steps: int = 0
    """Steps between two validations; 0 for none by steps. The end is always validated."""
    validates_first: bool = False
    """Whether the run begins with a validation, of the network that it starts from."""
    patience: int = 0
    """Since the best validation, so many may score no higher than the one before; then the run
    ends. 0 to go on in any case."""
    prefetch: int = 4
    """Batches prepared ahead."""
    prefetch_threads: int = 1
    """Threads that prepare batches."""

    def __post_init__(self) -> None:
        if self.schedule_by != "steps" and self.max_hours <= 0:
            raise ValueError(f"schedule_by = {self.schedule_by!r} needs max_hours above 0")
        if min(self.log_steps, self.prefetch, self.prefetch_threads) < 1:
            raise ValueError("log_steps, prefetch and prefetch_threads are at least 1")
        if self.save_minutes <= 0:
            raise ValueError("save_minutes must be above 0")
        if self.patience < 0:
            raise ValueError("patience must not be negative")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything that decides a run."""

    recipe_name: str
    trainer: TrainerConfig
    recipe: Any
    """The recipe's own `Config`."""

    def to_toml(self) -> str:
        """The resolved configuration; `read_config` reads it back."""
        content = {
            "recipe_name": self.recipe_name,
            "trainer": _plain(self.trainer),
            "recipe": _plain(self.recipe),
        }
        return tomlkit.dumps(content)

    def build(self) -> Recipe:
        """The recipe itself, networks and all."""
        build: Callable[[Any], Recipe] = _recipe_module(self.recipe_name).build
        return build(self.recipe)


def resolve_config(recipe_name: str, table: Mapping[str, Any], changes: Iterable[str]) -> RunConfig:
    """The configuration of a run: `table` (parsed TOML), then `changes` ("key.key=value") over it.

    Raises UsageError for unknown recipes, unknown keys and unfit values, naming the nearest key.
    """
    merged: Table = {key: _copied(value) for key, value in table.items()}
    for change in changes:
        _apply_change(merged, change)
    if merged.pop("recipe_name", recipe_name) != recipe_name:
        raise UsageError(f"the configuration belongs to another recipe than {recipe_name!r}")
    _refuse_unknown(merged, ("trainer", "recipe"), "")
    recipe_config = _recipe_module(recipe_name).Config
    return RunConfig(
        recipe_name=recipe_name,
        trainer=settings_from(TrainerConfig, merged.get("trainer", {}), "trainer"),
        recipe=settings_from(recipe_config, merged.get("recipe", {}), "recipe"),
    )


def read_config(path: Path) -> Table:
    """A TOML file as nested dictionaries. Raises InputError where it cannot be read."""
    try:
        return _parsed(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the configuration {path}", why=str(error)) from error


def read_preset(recipe_name: str, preset: str) -> Table:
    """The preset `<recipe>-<preset>.toml` beside the recipes, or `<preset>.toml` as named there.

    Raises UsageError, listing the recipe's presets, where there is none of that name.
    """
    folder = resources.files("defocusfix.training.recipes")
    known = {
        entry.name.removesuffix(".toml").removeprefix(f"{recipe_name}-"): entry
        for entry in folder.iterdir()
        if entry.name.startswith(f"{recipe_name}-") and entry.name.endswith(".toml")
    }
    entry = known.get(preset.removeprefix(f"{recipe_name}-"))
    if entry is None:
        raise UsageError(
            f"the recipe {recipe_name!r} has no preset {preset!r}",
            fix=f"presets: {', '.join(sorted(known)) or 'none'}; or a file with --config",
        )
    return _parsed(entry.read_text("utf-8"), entry.name)


def settings_from(
    kind: type[Settings], table: Mapping[str, Any], where: str, over: Settings | None = None
) -> Settings:
    """An instance of the dataclass `kind` from a table; missing keys keep their defaults.

    where: dotted name of the table, for messages. over: takes the place of the defaults; a table
    in a table lies over what the outer one has in its place.
    Raises UsageError for unknown keys, missing ones without a default, and unfit values.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    _refuse_unknown(table, fields, where)
    hints = typing.get_type_hints(kind)
    usual = {
        name: _default(f) if over is None else getattr(over, name) for name, f in fields.items()
    }
    values = {
        name: _fit(value, hints[name], f"{where}.{name}" if where else name, usual[name])
        for name, value in table.items()
    }
    kept = {name: value for name, value in usual.items() if value is not dataclasses.MISSING}
    try:
        return kind(**kept | values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the table [{where}] does not fit", why=str(error)) from error


def _recipe_module(name: str) -> types.ModuleType:
    if name not in RECIPES:
        raise UsageError(
            f"there is no recipe {name!r}", fix=f"recipes: {', '.join(sorted(RECIPES))}"
        )
    return importlib.import_module(RECIPES[name])


def _apply_change(table: Table, change: str) -> None:
    """Set one value in place: "trainer.precision=fp32". Text that is no TOML value is a string."""
    dotted, equals, text = change.partition("=")
    *tables, key = dotted.strip().split(".")
    if not equals or not key:
        raise UsageError(
            f"--set {change!r} is not of the form key=value", fix="--set trainer.max_hours=1.5"
        )
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {change!r}: {name!r} is a value, not a table")
    try:
        table[key] = _parsed(f"value = {text}", change)["value"]
    except InputError:
        table[key] = text.strip()


def _default(field: dataclasses.Field[Any]) -> Any:
    """What a field is without being told; MISSING where it has to be."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _fit(value: Any, hint: Any, where: str, usual: Any = None) -> Any:
    """`value` as the type `hint`, over what it usually is; UsageError where it cannot be one."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _fit_one_of(value, arguments, where)
    if origin is Literal:
        if value not in arguments:
            raise _unfit(value, where, " or ".join(map(repr, arguments)))
        return value
    if origin is tuple:
        return _fit_tuple(value, arguments, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        over = usual if isinstance(usual, hint) else None  # type: ignore[arg-type]
        return settings_from(typing.cast("type[Any]", hint), value, where, over)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise _unfit(value, where, getattr(hint, "__name__", str(hint)))


def _fit_one_of(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    for choice in choices:
        if choice is types.NoneType:
            continue
        try:
            return _fit(value, choice, where)
        except UsageError:
            continue
    names = " or ".join(getattr(c, "__name__", str(c)) for c in choices if c is not types.NoneType)
    raise _unfit(value, where, names)


def _fit_tuple(value: Any, arguments: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _unfit(value, where, "a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_fit(part, arguments[0], f"{where}[{n}]") for n, part in enumerate(value))
    if len(value) != len(arguments):
        raise _unfit(value, where, f"a list of {len(arguments)}")
    return tuple(
        _fit(part, hint, f"{where}[{n}]")
        for n, (part, hint) in enumerate(zip(value, arguments, strict=True))
    )


def _unfit(value: Any, where: str, wanted: str) -> UsageError:
    return UsageError(f"{where} = {value!r} does not fit", why=f"it must be {wanted}")


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            prefix = f"{where}." if where else ""
            raise UsageError(
                f"unknown setting {prefix}{key}",
                why=f"known here: {', '.join(known)}",
                fix=f"did you mean {prefix}{near[0]}?" if near else "",
            )


def _parsed(text: str, name: str) -> Table:
    try:
        return tomlkit.parse(text).unwrap()
    except ParseError as error:
        raise InputError(f"{name} is not valid TOML", why=str(error)) from error


def _copied(value: Any) -> Any:
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    """A setting as TOML knows it; None is left out, since TOML has no such value."""
    if dataclasses.is_dataclass(value):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: _plain(part) for name, part in pairs if part is not None}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
