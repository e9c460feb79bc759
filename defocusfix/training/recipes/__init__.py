"""The training recipes by name.

A recipe is a module with a frozen dataclass `Config` and `build(config: Config) -> Recipe`; its
presets are TOML files beside it, named `<recipe>-<preset>.toml`.
"""

RECIPES: dict[str, str] = {
    "defocus-gan": "defocusfix.training.recipes.defocus_gan",
    "learnable-kernel": "defocusfix.training.recipes.learnable_kernel",
    "light-field": "defocusfix.training.recipes.light_field",
    "reblur-guided": "defocusfix.training.recipes.reblur_guided",
    "supervised": "defocusfix.training.recipes.supervised",
}
