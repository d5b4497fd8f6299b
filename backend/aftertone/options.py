"""A project's options, for people: which there are, where each was set, and which of two wins."""

from typing import Any

from pydantic import SecretStr

from aftertone.addresses import host_of
from aftertone.errors import DamagedRecordError, SettingsError
from aftertone.settings import OLD_NAMES, SECRETS, Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import Connection

SET, EXTRA = "aftertone set", "extra params"


def options_of(store: ProjectStore) -> dict[str, dict[str, Any]]:
    """Options that a project has of its own: name -> its value, where it was set, and the value that it replaces.

    Those of `aftertone set` win over extra params of the connection in Label Studio.
    """
    try:
        connection = store.read(Connection)
    except DamagedRecordError:
        connection = None
    found: dict[str, dict[str, Any]] = {}
    for name, value in (connection.extra_params if connection is not None else {}).items():
        name = OLD_NAMES.get(name, name)
        found[name] = {"value": shown(name, value), "from": EXTRA}
    for name, value in store.steering.options.items():
        replaced = {"instead_of": found[name]["value"]} if name in found else {}
        found[name] = {"value": shown(name, value), "from": SET, **replaced}
    return found


def known_settings(settings: Settings, store: ProjectStore) -> Settings:
    """Settings with a project's options on top as far as they are known here; without them where one doesn't fit."""
    try:
        connection = store.read(Connection)
        extra = connection.extra_params if connection is not None else {}
        return settings.for_project(extra, store.steering.options)
    except (DamagedRecordError, SettingsError):
        return settings


def describe_options(options: dict[str, dict[str, Any]]) -> str:
    """The same as a line; '' where there are none."""
    return "; ".join(
        f"{name}={row['value']} ({row['from']}"
        + (f", where extra params say {row['instead_of']}" if "instead_of" in row else "")
        + ")"
        for name, row in sorted(options.items())
    )


def shown(name: str, value: Any) -> Any:
    """An option's value as it may be shown: of an address that may hold a password, the host."""
    return f"an address at {host_of(str(value))}" if name in SECRETS and value else value


def secrets_of(settings: Settings) -> list[str]:
    """What no log may show: tokens, passwords, and addresses that may hold one."""
    values = (getattr(settings, name) for name in SECRETS)
    found = [value.get_secret_value() if isinstance(value, SecretStr) else value for value in values]
    return [secret for secret in found if secret]
