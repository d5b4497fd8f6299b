"""How much emotion a frozen backbone holds: a probe on mean-pooled features, speakers disjoint, against named peers.

    python -m benchmarks.backbones MANIFEST --teacher byol-s_default512.pth BACKBONE ... > docs/benchmarks/backbones.md

Five folds of whole speakers. Each row of the table is one set of clip features: statistics of MFCC and F0, teachers,
aftertone-mini before pre-training, and the backbones named (aftertone-mini by default; the mean over time of every
layer, side by side, then the deviation too). Two probes read each: a linear one (ridge, its penalty chosen on inner
folds of speakers), and a support vector machine with an RBF kernel. The last column is the linear one once more, each
speaker's clips standardised over that speaker's own, as the clip head does. `--finetune` also trains all layers of each
backbone on all labels of the other folds, with the preset `practical`.
"""

import argparse
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torchaudio.functional import compute_deltas, detect_pitch_frequency
from torchaudio.transforms import MFCC
from tqdm import tqdm

from aftertone.progress import ProgressBars
from aftertone_model.backbone_names import MINI
from aftertone_model.backbones.backbone import Backbone, load_backbone
from aftertone_model.backbones.mini import draw_mini
from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.clip_head import Moments, describe
from aftertone_model.classification.scoring import extract_features
from aftertone_model.config import PRACTICAL, Tuning
from aftertone_model.data.clips import SAMPLE_RATE
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.learner import Learner
from aftertone_model.pretraining.teachers.byol_s import ByolS
from aftertone_model.pretraining.teachers.registry import load_teachers
from aftertone_model.pretraining.teachers.teacher import Teacher
from aftertone_model.progress import hide_library_bars
from aftertone_model.simulate.labelled_corpus import read_labelled
from aftertone_model.simulate.prepared import Prepared, decode

FOLDS = 5
Features = NDArray[np.float32]  # (N, D)
PENALTIES = {"ridgeclassifier__alpha": [10.0, 100.0, 1_000.0, 10_000.0]}
cepstra = MFCC(SAMPLE_RATE, n_mfcc=20, melkwargs={"n_fft": 512, "hop_length": 160, "n_mels": 40})


def classical(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and deviation of 20 MFCCs and their slopes, quantiles and slope of log F0 and of log energy: (92,)."""
    samples = torch.from_numpy((waveform - waveform.mean()) / (waveform.std() + 1e-7))
    coefficients = cepstra(samples)  # (20, T)
    pitch = detect_pitch_frequency(samples, SAMPLE_RATE, frame_time=0.02, win_length=15, freq_low=70, freq_high=600)
    energy = samples.unfold(0, 640, 320).square().mean(1)
    found = [_moments(coefficients), _moments(compute_deltas(coefficients))]
    for contour in (pitch.log(), (energy + 1e-8).log()):
        quantiles = torch.quantile(contour, torch.tensor([0.1, 0.5, 0.9]))
        found += [quantiles, _moments(contour[None]), contour.diff().abs().mean()[None]]
    return torch.cat(found).numpy()


def _moments(contours: torch.Tensor) -> torch.Tensor:
    return torch.cat([contours.mean(-1), contours.std(-1)])


def _moments_of(teacher: Teacher) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Mean and deviation over time of a teacher's embeddings."""
    return lambda waveform: _moments(torch.from_numpy(teacher.embed(waveform).astype(np.float32)).T).numpy()


def by_clip(prepared: Prepared, embed: Callable[[NDArray[np.float32]], NDArray[np.float32]], name: str) -> Features:
    return np.stack([embed(prepared.pool.waveform(clip.id)) for clip in tqdm(prepared.clips, desc=name, mininterval=5)])


def layers(prepared: Prepared, backbone: Backbone) -> tuple[Features, Features]:
    """Mean over time of each layer, side by side: (N, L · D); and the same with the deviations: (N, 2L · D)."""
    classifier = new_classifier(backbone, prepared.schema, mix_layers=True, seed=0)
    found = extract_features(classifier, prepared.clips, prepared.runtime("cpu"))
    return describe(found, deviation=False).numpy(), describe(found, deviation=True).numpy()


def by_speaker(prepared: Prepared, features: Features) -> Features:
    """Each clip standardised over its speaker's."""
    moments, speakers, rows = Moments(), [clip.speaker for clip in prepared.clips], torch.from_numpy(features)
    moments.add(rows, speakers)
    return moments.standardisation(torch.device("cpu")).views(rows, speakers)[1].numpy()


def probed(prepared: Prepared, features: Features, kind: str) -> Metrics:
    """Each speaker's clips judged by a probe that was trained on other speakers."""
    labels, speakers = np.array(prepared.labels), np.array([clip.speaker for clip in prepared.clips])
    scores = np.zeros((len(labels), len(prepared.classes)))
    for test in prepared.folds:
        train = np.setdiff1d(np.arange(len(labels)), test)
        if kind == "linear":
            inner = StratifiedGroupKFold(4, shuffle=True, random_state=0)
            ridge = make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced"))
            probe = GridSearchCV(ridge, PENALTIES, scoring="balanced_accuracy", cv=inner)
            probe.fit(features[train], labels[train], groups=speakers[train])
        else:
            probe = make_pipeline(StandardScaler(), SVC(class_weight="balanced")).fit(features[train], labels[train])
        scores[list(test), probe.predict(features[list(test)])] = 1.0
    return measure(prepared, scores)


def finetuned(prepared: Prepared, backbone: Backbone, progress: ProgressBars) -> Metrics:
    """The same folds, every layer trained on all labels."""
    config = replace(PRACTICAL, few_labels_tuning=Tuning.FULL)
    hidden = prepared.one_hot()
    row = {clip.id: number for number, clip in enumerate(prepared.clips)}
    probabilities = np.zeros((len(prepared.clips), len(prepared.classes)))
    for fold in range(len(prepared.folds)):
        train, tested = prepared.sides(fold)
        runtime = replace(prepared.runtime("cpu", fold), progress=progress)
        learner = Learner(backbone, prepared.schema, runtime, config)
        training = learner.train({clip.id: hidden[clip.id] for clip in train}, {}, prepared.clips)
        probabilities[[row[clip.id] for clip in tested]] = learner.predict(training.model, tested)
    return measure(prepared, probabilities)


def measure(prepared: Prepared, probabilities: NDArray[np.float64]) -> Metrics:
    """Of probabilities (N, C) of all clips."""
    one_hot = np.eye(len(prepared.classes))[list(prepared.labels)]
    return prepared.schema.measure(one_hot, probabilities, [clip.speaker for clip in prepared.clips])


def written(metrics: Metrics | None) -> str:
    return "" if metrics is None else metrics.ua.written(3)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="a manifest.csv with the columns path, emotion and speaker")
    parser.add_argument("backbones", nargs="*", default=[MINI], help="as the setting BACKBONE takes them")
    parser.add_argument("--teacher", action="append", default=[], help="as `aftertone pretrain` takes it; repeatable")
    parser.add_argument("--finetune", action="store_true", help="train all layers of each backbone, too")
    parser.add_argument("--bare", action="store_true", help="only the backbones named")
    parser.add_argument("--work", type=Path, help="a folder to keep decoded clips in, for another run")
    args = parser.parse_args(arguments)
    hide_library_bars()
    bars = ProgressBars()
    with tempfile.TemporaryDirectory() as scratch:
        prepared = decode(read_labelled(args.manifest), args.work or Path(scratch), args.backbones[0], FOLDS, bars)
        bars.close()
        rows: dict[str, tuple[Features, Metrics | None]] = {}
        if not args.bare:
            rows["MFCC and F0 statistics"] = by_clip(prepared, classical, "MFCC"), None
            rows["aftertone-mini's shape, random weights"] = layers(prepared, Backbone(draw_mini(0)))[0], None
        for teacher in load_teachers(args.teacher):
            if isinstance(teacher, ByolS):
                last = teacher.fc[3].get_parameter("weight").shape[0]
                rows["BYOL-S, mean"] = (
                    by_clip(prepared, lambda w, t=teacher, n=last: t.embed(w)[:, -n:].mean(0, np.float32), "BYOL-S"),
                    None,
                )
            else:
                rows[f"{teacher.name}, mean and deviation"] = (
                    by_clip(prepared, _moments_of(teacher), teacher.name),
                    None,
                )
        for name in args.backbones:
            backbone = load_backbone(name)
            tuned = finetuned(prepared, backbone, bars) if args.finetune else None
            bars.close()
            means, both = layers(prepared, backbone)
            rows[f"{name}, means"] = means, tuned
            rows[f"{name}, means and deviations"] = both, None
        print("# What backbones know of emotion\n")
        print(
            f"{len(prepared.clips)} clips, {len({clip.speaker for clip in prepared.clips})} speakers, {FOLDS} folds of "
            f"whole speakers. UA with its 95 % bootstrap interval over speakers; "
            f"chance is {1 / len(prepared.classes):.2f}.\n"
        )
        print("Fine-tuning: preset `practical`, all layers, all labels of the other folds, no TAPT.\n")
        libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "scikit-learn"))
        print(f"{libraries}, Python {platform.python_version()}, {platform.machine()}.\n")
        print(
            "| features | dimensions | linear probe | SVM | fine-tuned | linear, by speaker |\n"
            "| --- | --- | --- | --- | --- | --- |",
            flush=True,
        )
        for name, (features, tuned) in rows.items():
            probes = [written(probed(prepared, features, kind)) for kind in ("linear", "svm")]
            own = written(probed(prepared, by_speaker(prepared, features), "linear"))
            print(
                f"| {name} | {features.shape[1]} | {probes[0]} | {probes[1]} | {written(tuned)} | {own} |", flush=True
            )


if __name__ == "__main__":
    main()
