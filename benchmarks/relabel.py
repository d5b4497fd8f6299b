"""How many of the labels that the relabel list doubts are wrong, after few labels and after many.

    python -m benchmarks.relabel manifest.csv > docs/benchmarks/relabel.md

Clips of a labelled corpus get votes of a simulated crowd in which everybody errs as often. Each label is what training
makes of the votes; the list is the product's own, by `cross_fitted` and `relabel_list`.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.config import PRACTICAL
from aftertone_model.cross_fitting import cross_fitted
from aftertone_model.data.clips import Clip
from aftertone_model.labels import TIE
from aftertone_model.learner import Learner
from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.crowd import Crowd, draw_vote, turns
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, decode, extract
from aftertone_model.votes.relabel import relabel_list
from aftertone_model.votes.soft_labels import soft_labels
from aftertone_model.votes.vote import Vote

MOST = 50  # clips of a list, as in `aftertone.pipeline.relabelling`
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


@dataclass(frozen=True, kw_only=True)
class Found:
    """One simulated round."""

    listed: int  # clips in the relabel list
    wrong: float  # of these
    alone: float  # wrong labels among as many that the model alone finds least likely
    all_labels: int
    all_wrong: float  # of all labels


def run(prepared: Prepared, each: int, labelled: int, noise: float, seed: int) -> Found:
    """So many labelled clips with so many votes each: the list, beside the order of the model alone."""
    drawn = np.random.default_rng([seed, 1]).permutation(len(prepared.clips))[:labelled]
    clips = [prepared.clips[int(row)] for row in np.sort(drawn)]
    truth = {prepared.clips[row].id: prepared.labels[row] for row in range(len(prepared.clips))}
    votes = cast(clips, truth, prepared.classes, each, noise, seed)
    learner = Learner(load_backbone(BACKBONE), prepared.schema, prepared.runtime("cpu", seed), PRACTICAL)
    labels = soft_labels(votes, learner.schema, learner.config.votes)
    fitted = cross_fitted(learner, clips, labels, prepared.clips, seed)
    probabilities = {clip.id: row for clip, row in zip(clips, fitted, strict=True)}
    doubted = [doubt.clip for doubt in relabel_list(votes, probabilities, prepared.classes, MOST)]
    alone = sorted(labels, key=lambda id: probabilities[id][labels[id].argmax()])[: len(doubted)]
    errors = {id: wrong(label, truth[id]) for id, label in labels.items()}
    return Found(
        listed=len(doubted), wrong=sum(errors[id] for id in doubted), alone=sum(errors[id] for id in alone),
        all_labels=len(labels), all_wrong=sum(errors.values()),
    )  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--folder", type=Path, help="where decoded clips are kept; a temporary folder by default")
    parser.add_argument("--clips", type=int, default=800, help="clips of the corpus that are used")
    parser.add_argument("--labels", type=int, nargs="+", default=(20, 40, 80, 160, 320, 600), help="labelled clips")
    parser.add_argument("--noise", type=float, nargs="+", default=(0.05, 0.3))
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    hide_library_bars()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        prepared = decode(read_labelled(args.manifest), folder, BACKBONE, 2, lambda *_: None)
        chosen = np.sort(np.random.default_rng(0).permutation(len(prepared.clips))[: args.clips]).tolist()
        prepared = replace(
            prepared, folds=(), clips=tuple(prepared.clips[row] for row in chosen),
            labels=tuple(prepared.labels[row] for row in chosen),
        )  # fmt: skip
        extract(prepared, range(len(prepared.clips)), "cpu")
        plays = [(1, labels, noise) for noise in args.noise for labels in args.labels]
        plays += [(each, max(args.labels), max(args.noise)) for each in VOTES if each > 1]
        rows = {play: [run(prepared, *play, seed) for seed in range(args.seeds)] for play in plays}
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "scikit-learn", "crowd-kit"))
    print(
        "# Is the relabel list worth a look?\n\nPrinted by `python -m benchmarks.relabel MANIFEST`.\n\n"
        f"{len(prepared.clips)} clips, {len(prepared.classes)} classes, drawn by chance. Some of them are labelled by "
        f"{ANNOTATORS} annotators who err alike, others for each of {args.seeds} seeds; a list has {MOST} clips at "
        f"most.\n{BACKBONE} without TAPT. Shares are of all seeds together; of the list's, the interval is Wilson's, "
        "95 %, as if clips were independent.\n\n"
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n\n"
        "| annotators err in | votes on each clip | labels | listed, each seed | wrong among the listed, % | "
        "wrong among as many that the model alone finds least likely, % | wrong of all labels, % |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for (each, labels, noise), found in rows.items():
        everywhere = 100 * sum(one.all_wrong for one in found) / sum(one.all_labels for one in found)
        print(
            f"| {noise:.0%} | {each} | {labels} | {', '.join(str(one.listed) for one in found)} | "
            f"{' | '.join(_shares(found))} | {everywhere:.0f} |"
        )


def _shares(found: Sequence[Found]) -> tuple[str, str]:
    """Of the list and of the model alone, in %."""
    listed, errors = sum(one.listed for one in found), sum(one.wrong for one in found)
    if not listed:
        return "", ""
    ends = binomtest(round(errors), listed).proportion_ci(method="wilson")
    alone = sum(one.alone for one in found) / listed
    return f"{100 * errors / listed:.0f} [{100 * ends.low:.0f} to {100 * ends.high:.0f}]", f"{100 * alone:.0f}"


if __name__ == "__main__":
    main()
