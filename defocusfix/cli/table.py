"""The table of all commands. Reading it imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RESTORE, TRAIN, TOOLS = "Restore", "Your own data and training", "Tools"
IN_GROUP = "Commands"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command. A group of commands has a function that does nothing, for its help."""

    function: str
    """What carries it out, as "module:name"."""
    panel: str
    """The part of the help page it stands in."""
    about: str
    """The first line of the function's docstring, so that a list of commands imports none."""
    commands: Mapping[str, Entry] = field(default_factory=dict)
    """Of a group, by the second word that is typed."""


COMMANDS = {
    "restore": Entry(
        "defocusfix.cli.restore:restore", RESTORE, "Bring out-of-focus photos back into focus."
    ),
    "map": Entry(
        "defocusfix.cli.map:map_defocus",
        RESTORE,
        "Write the defocus map of photos: how blurred each place is.",
    ),
    "info": Entry(
        "defocusfix.cli.info:info",
        RESTORE,
        "Show what a photo is, how blurred it is, and what restore would do.",
    ),
    "compare": Entry(
        "defocusfix.cli.compare:compare",
        RESTORE,
        "Show two versions of a photo over each other, with a slider between them.",
    ),
    "data": Entry(
        "defocusfix.cli.data:data",
        TRAIN,
        "Check and prepare pairs of a blurry and a sharp photo.",
        {
            "check": Entry(
                "defocusfix.cli.data_check:check",
                IN_GROUP,
                "Say which pairs of photos are fit to learn from, and why not.",
            ),
            "align": Entry(
                "defocusfix.cli.data:align",
                IN_GROUP,
                "Write copies of pairs that lie over each other.",
            ),
            "split": Entry(
                "defocusfix.cli.data:split",
                IN_GROUP,
                "Say which pairs to learn from and which to hold out, scene by scene.",
            ),
            "preview": Entry(
                "defocusfix.cli.data:preview",
                IN_GROUP,
                "Show crops as the network sees them: blurry, sharp, and how they differ.",
            ),
            "light-field": Entry(
                "defocusfix.cli.data_light_field:light_field",
                IN_GROUP,
                "Make defocused and sharp photos from a light field.",
            ),
        },
    ),
    "finetune": Entry(
        "defocusfix.cli.finetune:finetune",
        TRAIN,
        "Adapt a model to your lens, from pairs of photos that need not line up.",
    ),
    "train": Entry(
        "defocusfix.cli.train:train",
        TRAIN,
        "Train a network, from scratch or from where a run stopped.",
    ),
    "render": Entry(
        "defocusfix.cli.render:render",
        TRAIN,
        "Render defocused pairs with exact radius maps from sharp photos.",
    ),
    "teach": Entry(
        "defocusfix.cli.teach:teach",
        TRAIN,
        "Restore pictures by trained networks, for another network to learn from.",
    ),
    "evaluate": Entry(
        "defocusfix.cli.evaluate:evaluate",
        TRAIN,
        "Measure what a model gains over the untouched photo.",
    ),
    "models": Entry(
        "defocusfix.cli.models:models",
        TOOLS,
        "List, fetch, check, import and remove weights.",
        {
            "list": Entry(
                "defocusfix.cli.models:list_weights",
                IN_GROUP,
                "List all weights that defocusfix knows, and whether they are here.",
            ),
            "show": Entry(
                "defocusfix.cli.models:show",
                IN_GROUP,
                "Show what is known of weights: terms, sources, training, figures, limits.",
            ),
            "pull": Entry(
                "defocusfix.cli.models_pull:pull",
                IN_GROUP,
                "Fetch weights, check them and make them ready.",
            ),
            "verify": Entry(
                "defocusfix.cli.models:verify",
                IN_GROUP,
                "Read weights that are here again, and compare them with their checksums.",
            ),
            "import": Entry(
                "defocusfix.cli.models_pull:import_weights",
                IN_GROUP,
                "Bring weights from a file, as from a computer that has a network.",
            ),
            "rm": Entry(
                "defocusfix.cli.models:remove",
                IN_GROUP,
                "Remove weights that were fetched or imported.",
            ),
            "path": Entry(
                "defocusfix.cli.models:path",
                IN_GROUP,
                "Write where weights are, for use in other commands.",
            ),
        },
    ),
    "export": Entry(
        "defocusfix.cli.export:export",
        TOOLS,
        "Turn trained weights into one file that restores photos.",
    ),
    "bench": Entry(
        "defocusfix.cli.bench:bench",
        TOOLS,
        "Measure how fast photos are restored on this computer.",
    ),
    "doctor": Entry(
        "defocusfix.cli.doctor:doctor",
        TOOLS,
        "Show what this computer has for restoring photos, and what it lacks.",
    ),
}


def entries(prefix: str) -> Mapping[str, Entry]:
    """The commands that may follow `prefix`, the name of a group, or "" for the first word."""
    return COMMANDS[prefix].commands if prefix else COMMANDS


def all_names() -> list[str]:
    """Every command as it is typed, groups before the commands in them."""
    return [
        name
        for first, entry in COMMANDS.items()
        for name in (first, *(f"{first} {second}" for second in entry.commands))
    ]
