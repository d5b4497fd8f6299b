"""How many of the labels that the relabel list doubts are wrong, beside labels drawn at random.

    python -m benchmarks.relabel manifest.csv > docs/benchmarks/relabel.md

Clips of a labelled corpus get votes of a simulated crowd in which everybody errs as often. Each label is what training
makes of the votes; the list is the product's own, by `cross_fitted` and `relabel_list`.
"""

import argparse
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import PRACTICAL
from aftertone_model.cross_fitting import cross_fitted
from aftertone_model.data.clips import Clip
from aftertone_model.labels import TIE
from aftertone_model.learner import Learner
from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.crowd import Crowd, draw_vote, turns
from aftertone_model.simulate.intervals import interval
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, decode, extract
from aftertone_model.votes.relabel import relabel_list
from aftertone_model.votes.soft_labels import soft_labels
from aftertone_model.votes.vote import Vote

LISTED = 50
ANNOTATORS = 3
VOTES = (1, 2, 3)  # on each clip
BACKBONE = "aftertone-mini"


def cast(
    clips: list[Clip], truth: dict[str, int], classes: tuple[str, ...], each: int, noise: float, seed: int
) -> list[Vote]:
    """So many votes on each clip."""
    confusions = Crowd(annotators=ANNOTATORS, rates=(noise,)).confusions(classes)
    return [
        Vote(
            clip=clip.id,
            annotator=str(who),
            chosen=(classes[draw_vote(clip.id, int(who), truth[clip.id], confusions, seed)],),
        )
        for clip in clips
        for who in turns(clip.id, ANNOTATORS, seed)[:each]
    ]


def wrong(label: NDArray[np.float64], truth: int) -> float:
    """1 where the label's top is another class than the true one; classes that tie at the top share."""
    top = label >= label.max() - TIE
    return 1 - float(top[truth] / top.sum())


def run(prepared: Prepared, each: int, labelled: int, noise: float, seed: int) -> list[float]:
    """Shares of wrong labels: in the relabel list, of those the model alone finds least likely, at random, of all."""
    drawn = np.random.default_rng([seed, 1]).permutation(len(prepared.clips))[:labelled]
    clips = [prepared.clips[int(row)] for row in np.sort(drawn)]
    truth = {prepared.clips[row].id: prepared.labels[row] for row in range(len(prepared.clips))}
    votes = cast(clips, truth, prepared.classes, each, noise, seed)
    learner = Learner(load_backbone(BACKBONE), prepared.schema, prepared.runtime("cpu", seed), PRACTICAL)
    labels = soft_labels(votes, learner.schema, learner.config.votes)
    fitted = cross_fitted(learner, clips, labels, prepared.clips, seed)
    probabilities = {clip.id: row for clip, row in zip(clips, fitted, strict=True)}
    doubted = [doubt.clip for doubt in relabel_list(votes, probabilities, prepared.classes, LISTED)]
    alone = sorted(labels, key=lambda id: probabilities[id][labels[id].argmax()])[:LISTED]
    chance = np.random.default_rng([seed, 2]).permutation(sorted(labels))[:LISTED]
    errors = {id: wrong(label, truth[id]) for id, label in labels.items()}
    chosen = (doubted, alone, chance, list(labels))
    return [float(np.mean([errors[id] for id in ids])) for ids in chosen]


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, help="where decoded clips are kept; a temporary folder by default")
    parser.add_argument("--clips", type=int, default=600, help="labelled clips")
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    hide_library_bars()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        prepared = decode(read_labelled(args.manifest), folder, BACKBONE, 2, lambda *_: None)
        extract(prepared, range(len(prepared.clips)), "cpu")
        rows = {
            each: np.array([run(prepared, each, args.clips, args.noise, seed) for seed in range(args.seeds)])
            for each in VOTES
        }
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "scikit-learn", "crowd-kit"))
    print(
        "# Is the relabel list worth a look?\n\nPrinted by `python -m benchmarks.relabel MANIFEST`.\n\n"
        f"{len(prepared.clips)} clips, {len(prepared.classes)} classes; "
        f"{args.clips} of them drawn and labelled by {ANNOTATORS} annotators who each err in {args.noise:.0%}, anew "
        f"for each of {args.seeds} seeds.\n{BACKBONE} without TAPT. Intervals are Student's over the seeds, 95 %.\n\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n\n"
        f"Wrong labels, in %, among {LISTED}:\n\n"
        "| votes on each clip | relabel list | least likely by the model alone | at random | wrong labels of all | "
        "list ahead of random, points |\n| --- | --- | --- | --- | --- | --- |"
    )
    for each, found in rows.items():
        cells = [interval(100 * column).written(1, 1) for column in found.T]
        ahead = interval(100 * (found[:, 0] - found[:, 2])).written(1, 1, "+")
        print(f"| {each} | {' | '.join(cells)} | {ahead} |")


if __name__ == "__main__":
    main()
