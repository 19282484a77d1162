"""Recipes: YAML files whose sections configure the steps of training.

A recipe is one of the names that come with the package (``paper``, ``small``, ``smoke``) or a
path. Every command reads its own section, and ``--set key=value`` overrides single values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pacx.errors import RecipeError
from pacx_training.atomic import write_atomically


class RecipeSection(BaseModel):
    """Base of all sections: frozen, all numbers finite, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


_Section = TypeVar("_Section", bound=RecipeSection)


def read_section(
    recipe: str, section: str, kind: type[_Section], overrides: Iterable[str] = ()
) -> _Section:
    """Read one section of a recipe.

    Args:
        recipe: A name that comes with the package, or the path of a YAML file.
        section: Such as ``mae`` or ``heads``.
        kind: The model of the section; what the file leaves out takes its defaults.
        overrides: ``key=value``; dots reach into nested models, values are YAML.

    Raises:
        RecipeError: Unknown recipe, unknown key or refused value.
    """
    content = _section(recipe, section)
    for override in overrides:
        _override(content, override)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (".".join(map(str, found["loc"])), said_of(found["msg"]))))
            for found in error.errors()
        )
        raise RecipeError(f"Section {section} is refused: {problems}.") from error


def said_of(message: str) -> str:
    """What a validator of ours said, without pydantic's word for it."""
    return message.removeprefix("Value error, ")


def save_section(path: Path, section: str, values: RecipeSection) -> None:
    """Put one section into a run's ``recipe.yaml``; what other steps left there is kept."""
    content = _parse(path.read_bytes()) if path.is_file() else {}
    content[section] = values.model_dump(mode="json")
    write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())


def load_section(path: Path, section: str) -> Mapping[str, Any] | None:
    """One section of a run's ``recipe.yaml`` as it stands there; None where there is none.

    Raises:
        RecipeError: The file is no recipe.
    """
    content = _parse(path.read_bytes()) if path.is_file() else {}
    found = content.get(section)
    return found if isinstance(found, Mapping) else None


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package."""
    folder = files("pacx_training") / "recipes"
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name.removesuffix(".yaml") for name in names))


def _read(recipe: str) -> dict[str, Any]:
    if recipe in recipe_names():
        packaged = files("pacx_training") / "recipes" / f"{recipe}.yaml"
        return _parse(packaged.read_bytes())
    if not Path(recipe).is_file():
        known = ", ".join(recipe_names())
        raise RecipeError(f"There is no such recipe; known are {known}, or the path of a file.")
    return _parse(Path(recipe).read_bytes())


def _section(recipe: str, section: str) -> dict[str, Any]:
    content = _read(recipe).get(section)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise RecipeError(f"Section {section} is refused: it is no mapping of keys to values.")
    return dict(content)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text.decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError("The recipe is not valid YAML.") from error
    if not isinstance(content, Mapping):
        raise RecipeError("A recipe is a mapping of sections.")
    return dict(content)


def _override(content: dict[str, Any], override: str) -> None:
    path, separator, value = override.partition("=")
    if not separator:
        raise RecipeError("An override has the form key=value.")
    *parents, key = path.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{path}: {parent} holds a value and no keys.")
    try:
        content[key] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: the value is not valid YAML.") from error
