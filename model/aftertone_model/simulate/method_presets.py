"""A method's hyper-parameters as somebody names them: `paper`, or `paper:stage.field=value,...`."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from aftertone_model.errors import SimulationError

Config = TypeVar("Config")


def method_config(preset: str, paper: Config) -> Config:
    """The paper's config with the changes.

    Raises:
        SimulationError: there is no such preset or field, or a value doesn't fit.
    """
    name, _, changes = preset.partition(":")
    if name != "paper":
        raise SimulationError(f"There is no preset {name} of this method; there is: paper.")
    config: Any = paper
    known = _paths(config)
    for change in filter(None, (part.strip() for part in changes.split(","))):
        path, _, value = change.partition("=")
        if path not in known:
            raise SimulationError(f"There is no field {path}. There are: {', '.join(known)}.")
        try:
            config = _changed(config, path, value)
        except ValidationError as error:
            raise SimulationError(f"{change}: {error.errors()[0]['msg']}.") from None
    return config


def _paths(config: Any) -> list[str]:
    """Of all fields that a text can set, with those of stages inside."""
    found: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found += [f"{field.name}.{path}" for path in _paths(value)]
        elif isinstance(value, str | int | float):
            found.append(field.name)
    return found


def _changed(config: Any, path: str, value: str) -> Any:
    stage, _, rest = path.partition(".")
    return replace(config, **{stage: _changed(getattr(config, stage), rest, value) if rest else value})
