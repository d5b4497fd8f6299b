"""What `aftertone simulate --method` is asked to play, whichever method it is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Study:
    """A method on a labelled corpus."""

    manifest: Path
    out: Path
    backbone: str
    preset: str = "paper"  # as `method_config` reads it
    folds: int = 5
    seeds: int = 1  # runs of each fold
    classes: tuple[str, ...] = ()  # emotions that may occur; () for all that do
    jobs: int = 1
    device: str = "cpu"
    pairs: str = ""  # of corpora, as `parse_pairs` reads them, where the method compares corpora
    command: str = ""  # for the report
