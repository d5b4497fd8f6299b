"""A project's options, for people: which there are, where each was set, and which of two wins."""

from typing import Any

from aftertone.errors import DamagedRecordError
from aftertone.settings import OLD_NAMES, SECRETS, host_of
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
