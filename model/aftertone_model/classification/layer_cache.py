"""What a frozen transformer makes of each clip, kept on disk: a probe's next round then runs no transformer at all.

layers/<fingerprint>/<block>.npy    (n, L, D) float32, the mean over time of each layer's output
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

BLOCK = 512  # clips written together: a kill costs the transformer's work on fewer than these


def same_body(classifier: SpeechClassifier, backbone: Backbone) -> bool:
    """Whether the classifier's transformer and CNN are the backbone's, so that it was only probed."""
    ours, theirs = Encoder(classifier).body.state_dict(), backbone.body.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(weight, theirs[name].to(weight.device)) for name, weight in ours.items()
    )


class LayerCache:
    """The cache of one backbone under `folder`; several processes may use it at once."""

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        self._folder = folder / "layers" / digest(backbone.body.state_dict())
        self._rows: dict[str, tuple[Path, int]] = {}  # clip id -> block and row in it
        for index in sorted(self._folder.glob("*.json")):
            self._take_in(index)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self._rows

    def add(self, clip_ids: Sequence[str], means: NDArray[np.float32]) -> None:
        """Keep the (n, L, D) means of n clips."""
        self._folder.mkdir(parents=True, exist_ok=True)
        block = self._folder / f"{uuid4().hex}.npy"
        np.save(block, means)
        part = block.with_suffix(".part")
        part.write_text(json.dumps(list(clip_ids)), encoding="utf-8")
        self._take_in(part.replace(block.with_suffix(".json")))

    def read(self, clip_ids: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows (n,) into `clip_ids` and their means (n, L, D), a block at a time, every clip once.

        Raises:
            KeyError: a clip that isn't in the cache.
        """
        by_block: dict[Path, list[tuple[int, int]]] = {}
        for row, clip_id in enumerate(clip_ids):
            block, inside = self._rows[clip_id]
            by_block.setdefault(block, []).append((row, inside))
        for block, pairs in by_block.items():
            rows, inside = np.array(pairs, np.int64).T
            yield rows, np.asarray(np.load(block, mmap_mode="r")[inside])

    def _take_in(self, index: Path) -> None:
        block = index.with_suffix(".npy")
        for row, clip_id in enumerate(json.loads(index.read_text(encoding="utf-8"))):
            self._rows.setdefault(clip_id, (block, row))
