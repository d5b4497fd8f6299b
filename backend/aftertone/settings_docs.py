"""The page of settings, made from the settings themselves: `python -m aftertone.settings_docs > docs/settings.md`."""

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from aftertone.settings import PROJECT_OPTIONS, Settings


def guide() -> str:
    """The page as Markdown; docs/settings.md is this text."""
    rows = "\n".join(_row(name, field) for name, field in Settings.model_fields.items())
    return f"""# Settings

Environment variables of `aftertone serve` and `aftertone worker`; both need the same ones. A \u2731 marks what a single
project may override in Label Studio under Settings > Model > Extra params, as JSON: `{{"batch_size": 50}}`.

| variable | default | what it does |
| --- | --- | --- |
{rows}
"""


def _row(name: str, field: FieldInfo) -> str:
    mark = " \u2731" if name in PROJECT_OPTIONS else ""
    return f"| `{name.upper()}`{mark} | {_shown(field.default)} | {field.description} |"


def _shown(default: object) -> str:
    if isinstance(default, SecretStr) or default in ("", ()):
        return "*(empty)*"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    print(guide(), end="")
