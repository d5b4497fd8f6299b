"""The setting SOURCE: corpora with labels that a method learns from, as manifests and earlier projects."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from aftertone.errors import SettingsError

FOLDER = "sources"  # in MODEL_DIR, where manifests lie that are named without a path
PROJECT = "project:"
DIGITS = 18  # of a project number


@dataclass(frozen=True, kw_only=True)
class SourceNames:
    """What SOURCE names, in its order."""

    manifests: tuple[str, ...] = ()  # as they are written
    projects: tuple[int, ...] = ()  # ids in Label Studio

    def paths(self, model_dir: Path) -> list[Path]:
        """Where the manifests lie."""
        return [model_dir / FOLDER / name for name in self.manifests]  # an absolute one stays as it is

    @property
    def outside(self) -> list[str]:
        """Manifests that don't lie in the folder of MODEL_DIR."""
        return [name for name in self.manifests if PurePath(name).is_absolute() or ".." in PurePath(name).parts]


def parse_source(text: str) -> SourceNames:
    """What a text names.

    Args:
        text: such as `iemocap.csv, /data/casia/manifest.csv, project:3`.

    Raises:
        SettingsError: a project's number is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    numbers = [part.removeprefix(PROJECT).strip() for part in parts if part.startswith(PROJECT)]
    if wrong := [
        number for number in numbers if not (number.isascii() and number.isdecimal() and len(number) <= DIGITS)
    ]:
        raise SettingsError(f"{PROJECT}{wrong[0]} names no project; it looks like {PROJECT}3")
    return SourceNames(
        manifests=tuple(part for part in parts if not part.startswith(PROJECT)),
        projects=tuple(int(number) for number in numbers),
    )
