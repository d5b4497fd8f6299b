"""A project's extra params, as Label Studio keeps them with the connection of its model."""

import json
from typing import Any

from aftertone.errors import SettingsError


def parse_extra_params(value: Any) -> dict[str, Any]:
    """Extra params as Label Studio sends them: an object by API, a JSON string from its form, '' or null when empty.

    Raises:
        SettingsError: it is not a JSON object.
    """
    if value in (None, "", [], {}):
        return {}
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f'Extra params of the connection are not JSON ({error}). Example: {{"batch_size": 50}}'
        ) from None
    if not isinstance(parsed, dict):
        raise SettingsError('Extra params of the connection must be a JSON object, such as {"batch_size": 50}.')
    return parsed
