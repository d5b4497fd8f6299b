"""The tables of cross-corpus supervised contrastive learning, played on pairs of corpora.

Each pair's cell trains stage 1 on both corpora and stage 2 on each of them, and beside them what it is compared with:
direct fine-tuning on the target, and stage 2 alone above the backbone as it came. The clip head, which judges in the
preset `practical`, is trained on both backbones too. Speakers tested on are in none.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import read_json, write_json
from aftertone_model.errors import SimulationError
from aftertone_model.learner import Learner
from aftertone_model.simulate.differences import Confusions, clustered, confusions_by_speaker, ua
from aftertone_model.simulate.intervals import Interval, interval
from aftertone_model.simulate.method_presets import method_config
from aftertone_model.simulate.prepared import Prepared
from aftertone_model.simulate.table import Table
from aftertone_model.supervised_contrastive.classifier_stage import predict, train_classifier
from aftertone_model.supervised_contrastive.config import ContrastiveConfig
from aftertone_model.supervised_contrastive.direct_stage import train_directly
from aftertone_model.supervised_contrastive.encoder_stage import EncoderTrainer
from aftertone_model.supervised_contrastive.pooling import SelfAttentionPooling

DIRECT, ALONE, CONTRASTIVE = "fine-tuning", "stage 2 alone", "supervised contrastive"
HEAD, CONTRASTIVE_HEAD = "clip head alone", "contrastive, clip head"
MODELS = (DIRECT, ALONE, CONTRASTIVE, HEAD, CONTRASTIVE_HEAD)
PAPER = {"HuBERT-base": (66.61, 76.92), "WavLM-base": (68.31, 77.41)}
"""The paper's Table 1, IEMOCAP with CASIA beside it: UA in % of fine-tuning and of supervised contrastive learning."""


@dataclass(frozen=True, kw_only=True, order=True)
class PairCell:
    """Two corpora, one fold of each."""

    first: str
    second: str
    fold: int
    seed: int = 0

    @property
    def name(self) -> str:
        """What its file begins with."""
        return f"{self.first}+{self.second}-seed{self.seed}-fold{self.fold}"


Figures = Mapping[str, Mapping[str, Confusions]]
"""Target corpus -> model -> counts of each speaker left out."""


def parse_pairs(text: str, corpora: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`EMO-DB+RAVDESS,EMO-DB+URDU`; all pairs of the corpora if empty.

    Raises:
        SimulationError: a corpus that isn't there, or something else than a pair.
    """
    if len(corpora) < 2:
        raise SimulationError(
            f"Supervised contrastive learning needs two corpora; the manifest has {len(corpora)}. Give it a column "
            "`corpus` with two values or more."
        )
    pairs: list[tuple[str, str]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, second = part.partition("+")
        if first == second or not {first, second} <= set(corpora):
            raise SimulationError(f"--pairs takes pairs such as {corpora[0]}+{corpora[1]}, of {', '.join(corpora)}.")
        pairs.append((first, second))
    return tuple(pairs) or tuple(itertools.combinations(corpora, 2))


def contrastive_config(preset: str) -> ContrastiveConfig:
    """The paper's hyper-parameters, perhaps changed: `paper:encoder.epochs=10,direct.epochs=10`.

    Raises:
        SimulationError: there is no such preset or field, or a value doesn't fit.
    """
    return method_config(preset, ContrastiveConfig())


def sides(prepared: Prepared, corpus: str, fold: int) -> tuple[list[Clip], list[Clip]]:
    """Clips of a corpus to learn from and to test on, which share no speaker, with about its share of each emotion."""
    rows = np.array([row for row, clip in enumerate(prepared.clips) if clip.attributes.get("corpus") == corpus])
    labels = np.array(prepared.labels)[rows]
    speakers = [prepared.clips[row].speaker or "" for row in rows]
    count = len(prepared.folds)
    if len(set(speakers)) < count:
        raise SimulationError(f"{corpus} has {len(set(speakers))} speakers, too few for {count} folds.")
    splits = list(StratifiedGroupKFold(count, shuffle=True, random_state=0).split(labels, labels, speakers))
    learning, tested = splits[fold]
    return [prepared.clips[rows[row]] for row in learning], [prepared.clips[rows[row]] for row in tested]


def key(prepared: Prepared, cell: PairCell, config: ContrastiveConfig) -> str:
    """16 hex digits that name all that a cell's figures depend on."""
    told = [asdict(cell), asdict(config), len(prepared.folds), prepared.corpus_key, prepared.backbone_key]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def run_pair(prepared: Prepared, cell: PairCell, config: ContrastiveConfig, file: Path, device: str) -> None:
    """Train and test every model of a pair, and write the counts as `file`, whole or not at all."""
    runtime, schema = prepared.runtime(device, cell.seed), prepared.schema
    hidden = prepared.one_hot()
    targets = {corpus: sides(prepared, corpus, cell.fold) for corpus in (cell.first, cell.second)}
    source = [clip for learning, _ in targets.values() for clip in learning]
    emotions = [prepared.classes[hidden[clip.id].argmax()] for clip in source]
    corpora = [clip.attributes["corpus"] for clip in source]
    plain = load_backbone(prepared.backbone).to(runtime.device)
    contrasted = plain.copy()
    pooling = EncoderTrainer(contrasted, source, emotions, corpora, config.encoder, runtime).train()
    figures: dict[str, dict[str, Confusions]] = {}
    for corpus, (learning, tested) in targets.items():
        known = {clip.id: hidden[clip.id] for clip in learning}
        labels = np.array(list(known.values()))
        tuned, fresh = plain.copy(), SelfAttentionPooling(plain.config.hidden_size)
        direct = train_directly(tuned, schema, learning, labels, config.direct, runtime)
        alone = train_classifier(plain, fresh, schema, learning, labels, config.classifier, runtime)
        contrastive = train_classifier(contrasted, pooling, schema, learning, labels, config.classifier, runtime)
        logits: dict[str, NDArray[np.floating]] = {
            DIRECT: predict(tuned, direct, tested, runtime)[0],
            ALONE: predict(plain, alone, tested, runtime)[0],
            CONTRASTIVE: predict(contrasted, contrastive, tested, runtime)[0],
        }
        for name, backbone in ((HEAD, plain), (CONTRASTIVE_HEAD, contrasted)):
            learner = Learner(backbone, schema, runtime)
            logits[name] = learner.predict(learner.judge(known, [*learning, *tested]), tested)
        truth = np.array([hidden[clip.id].argmax() for clip in tested])
        speakers = [clip.speaker or "" for clip in tested]
        figures[corpus] = {
            name: confusions_by_speaker(truth, found.argmax(axis=1), speakers, prepared.classes)
            for name, found in logits.items()
        }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, figures)


def read_pair(file: Path) -> Figures | None:
    """What `run_pair` wrote; None where it hasn't."""
    return read_json(file)


def tables(results: Mapping[PairCell, Figures]) -> list[Table]:
    """The paper's Table 1 for each pair and target, and both columns of its Table 2."""
    pairs = sorted({(cell.first, cell.second) for cell in results})
    rows: list[tuple[str, ...]] = []
    both: list[tuple[str, ...]] = []
    for pair in pairs:
        cells = sorted(cell for cell in results if (cell.first, cell.second) == pair)
        columns: list[str] = []
        for target, other in (pair, pair[::-1]):
            found = {name: _mean(results, cells, target, name) for name in MODELS}
            gains = [
                _gain(results, cells, target, *pair).written(100, 1, "+")
                for pair in ((CONTRASTIVE, DIRECT), (CONTRASTIVE_HEAD, HEAD))
            ]
            rows.append((target, other, *(found[name].percent() for name in MODELS), *gains))
            columns.append(found[CONTRASTIVE].percent())
        both.append((" + ".join(pair), *columns))
    rows += [
        ("IEMOCAP (the paper)", f"CASIA, {name}", f"{ft}", "", f"{contrastive}", "", "", f"{contrastive - ft:+.1f}", "")
        for name, (ft, contrastive) in PAPER.items()
    ]
    return [
        Table(
            title="Fine-tuning and supervised contrastive learning (the paper's Table 1)",
            note="UA in % on speakers of the target left out, with 95 % intervals by fold; last the differences of "
            f"{CONTRASTIVE} from {DIRECT} and of the clip heads in points, clustered by fold and by speaker. Ours are "
            f"{ALONE}, pooling and classifier above the backbone as it came, and the clip heads, which judge each "
            "speaker's clips together.",
            head=("target", "other corpus", *(f"{name}, UA %" for name in MODELS), "difference", "of clip heads"),
            rows=tuple(rows),
        ),
        Table(
            title="One transformer for both corpora (the paper's Table 2)",
            note="UA in % of supervised contrastive learning on the first and on the second corpus of the pair. The "
            "paper's: 76.92 and 97.19 (HuBERT-base), 77.41 and 96.49 (WavLM-base) on IEMOCAP and CASIA.",
            head=("corpora", "first, UA %", "second, UA %"),
            rows=tuple(both),
        ),
    ]


def _mean(results: Mapping[PairCell, Figures], cells: Sequence[PairCell], target: str, model: str) -> Interval:
    values = [ua(np.sum(list(results[cell][target][model].values()), axis=0).astype(float)) for cell in cells]
    return interval(np.array(values), [cell.fold for cell in cells])


def _gain(
    results: Mapping[PairCell, Figures], cells: Sequence[PairCell], target: str, model: str, other: str
) -> Interval:
    ours, theirs = ([results[cell][target][name] for cell in cells] for name in (model, other))
    return clustered(ours, theirs, ua)
