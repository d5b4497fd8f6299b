"""What a frozen transformer makes of each clip, kept on disk: a probe's next round then runs no transformer at all.

layers/<fingerprint>/<block>.npy    (n, L, 4D) float32, the `clip_features` of n clips
layers/<fingerprint>/<block>.json   the n clip ids of these rows; written last, so that it vouches for its block
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import Backbone
from aftertone_model.backbones.digest import digest
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.families import SpeechClassifier
from aftertone_model.backbones.preprocessing import normalises
from aftertone_model.data.files import set_aside, whole_file, write_json
from aftertone_model.errors import DamagedFileError

BLOCK = 512  # clips written together: a kill costs the transformer's work on fewer than these


def same_body(classifier: SpeechClassifier, backbone: Backbone) -> bool:
    """Whether the classifier's transformer and CNN are the backbone's, so that it was only probed."""
    ours, theirs = Encoder(classifier).body.state_dict(), backbone.body.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(weight, theirs[name].to(weight.device)) for name, weight in ours.items()
    )


def cache_name(backbone: Backbone) -> str:
    """The folder under `layers` that holds what this backbone's transformer makes of clips."""
    heard = b"" if normalises(backbone.config) else b", as recorded"
    return digest(backbone.body.state_dict(), b"mean, deviation and change in float32" + heard)


class LayerCache:
    """The cache of one backbone under `folder`; several processes may use it at once."""

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        """
        Raises:
            DamagedFileError: blocks are cut short or garbled; a new cache is without any of these.
        """
        self._folder = folder / "layers" / cache_name(backbone)
        self._rows: dict[str, tuple[Path, int]] = {}  # clip id -> block and row in it
        damaged: list[DamagedFileError] = []
        for index in sorted(self._folder.glob("[0-9a-f]*.json")):
            try:
                self._take_in(index)
            except DamagedFileError as error:
                damaged.append(error)
        if damaged:
            raise damaged[0]

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._rows

    def add(self, clip_ids: Sequence[str], features: NDArray[np.float32]) -> None:
        """Keep the (n, L, 4D) features of n clips."""
        block = self._folder / f"{uuid4().hex}.npy"
        with whole_file(block) as scratch, scratch.open("wb") as file:
            np.save(file, features)
        write_json(index := block.with_suffix(".json"), list(clip_ids))
        self._take_in(index)

    def read(self, clip_ids: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows (n,) into `clip_ids` and their features (n, L, 4D), a block at a time, every clip once.

        Raises:
            KeyError: a clip that isn't in the cache.
            DamagedFileError: a block can't be read; a new cache is without it.
        """
        by_block: dict[Path, list[tuple[int, int]]] = {}
        for row, clip_id in enumerate(clip_ids):
            block, inside = self._rows[clip_id]
            by_block.setdefault(block, []).append((row, inside))
        for block, pairs in by_block.items():
            rows, inside = np.array(pairs, np.int64).T
            try:
                features = np.asarray(np.load(block, mmap_mode="r")[inside])
            except (OSError, ValueError, EOFError, IndexError):
                raise _damaged(block, block) from None
            yield rows, features

    def _take_in(self, index: Path) -> None:
        block = index.with_suffix(".npy")
        try:
            clip_ids = json.loads(index.read_text(encoding="utf-8"))
        except (ValueError, RecursionError, IsADirectoryError):
            raise _damaged(block, index) from None
        try:
            if len(np.load(block, mmap_mode="r")) != len(clip_ids):
                raise ValueError("rows without a clip, or clips without a row")
            self._rows |= {clip_id: (block, row) for row, clip_id in enumerate(clip_ids) if clip_id not in self._rows}
        except (FileNotFoundError, IsADirectoryError, ValueError, EOFError, TypeError):
            raise _damaged(block, block) from None


def _damaged(block: Path, culprit: Path) -> DamagedFileError:
    """The error for a block of which one file, the culprit, can't be read; neither file counts from here on."""
    set_aside(block.with_suffix(".json"))
    set_aside(block)
    return DamagedFileError(culprit, "What the frozen transformer makes of its clips is computed again.")
