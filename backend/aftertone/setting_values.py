"""Values of settings that need more than a type: types of their own, which say what is wrong with a value."""

import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationError
from pydantic_settings import NoDecode

from aftertone.addresses import host_of
from aftertone.attribute_names import parse_attribute_fields
from aftertone.errors import SettingsError
from aftertone.source_names import PROJECT, parse_source
from aftertone_model.config import PretrainingConfig, tapt_config

LEAST_SHARE = 0.0001


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _address(value: str) -> str:
    if not host_of(value):
        raise ValueError("must be an address such as http://localhost:8080, with http:// or https:// and a host")
    return value.rstrip("/")


def _listener(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:  # a name
        if set(value) & set("/:@?#"):
            raise ValueError(
                "must be an address of this machine such as 127.0.0.1, 0.0.0.0 or localhost, without http://, port or "
                "path; the port is the setting PORT"
            ) from None
    return value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if "/" in name or "@" in name:
            raise ValueError(
                f"{name!r} must be a host such as audio.example.org or *.example.org, without http://, port or path"
            )
    return value


def _share(value: float) -> float:
    if 0 < value < LEAST_SHARE:
        raise ValueError(f"must be 0, or at least {LEAST_SHARE}")
    return value


def _device(value: str) -> str:
    if value not in ("auto", "cpu", "cuda") and not value.startswith("cuda:"):
        raise ValueError("must be auto, cpu, cuda or cuda:N")
    return value


def _parsed_by(parse: Callable[[str], object]) -> Callable[[Any], Any]:
    """What takes text, or an object as extra params may hold it, keeps the text, and fails as `parse` does."""

    def check(value: Any) -> Any:
        text = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(text, str):
            try:
                parse(text)
            except ValidationError as error:
                raise ValueError("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from None
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return text

    return check


def _source(value: str) -> str:
    names = parse_source(value)
    return ", ".join([*names.manifests, *(f"{PROJECT}{number}" for number in names.projects)])


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Hosts = Annotated[Words, AfterValidator(_hosts)]
Address = Annotated[str, AfterValidator(_address)]
Listener = Annotated[str, AfterValidator(_listener)]
Share = Annotated[float, AfterValidator(_share)]
Device = Annotated[str, AfterValidator(_device)]
Tapt = Annotated[str, BeforeValidator(_parsed_by(lambda text: tapt_config(text, PretrainingConfig())))]
AttributeFields = Annotated[str, BeforeValidator(_parsed_by(parse_attribute_fields))]
Source = Annotated[str, BeforeValidator(_parsed_by(parse_source)), AfterValidator(_source)]
