"""Scoring clips: a fine-tuned classifier over a pool, for the first time and again after a round."""

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from aftertone_model.acquisition.uncertainty import entropy
from aftertone_model.backbones.encoder import Encoder
from aftertone_model.backbones.precision import bf16_is_faster
from aftertone_model.classification.classifier import load_classifier
from aftertone_model.classification.finetune import finetune
from aftertone_model.classification.layer_cache import LayerCache
from aftertone_model.classification.scoring import score
from aftertone_model.config import PRACTICAL, Stage, Tuning
from aftertone_model.data.pool import Pool
from aftertone_model.runtime import Runtime
from benchmarks.speed.contest import Contender, Result, Work, compete
from benchmarks.speed.corpus import Corpus, backbone, transformer_flops
from benchmarks.speed.report import Table, ratio

KINDS = (
    "The first time a clip is heard its CNN frames are computed and kept; again, as after each round of fine-tuning, "
    "they are read. A probe, the default, leaves the transformer as it is, so that from the second round on nothing "
    "but its head is computed, from kept layers; there is no other answer to compare it with. "
)
IN_BFLOAT16 = "transformers in bfloat16 computes the CNN in it too; Aftertone's CNN runs in float32."
IN_FLOAT32 = "This processor doesn't multiply bfloat16, so that everything runs in float32."
SAME_RANKING = 0.99  # Spearman's correlation, below which answers are no longer the same
BATCHES = (1, 4, 8, 16, 32)  # sizes that the peer may choose from


@dataclass
class Ours(Work):
    """`score`, from waveforms (`first`), from cached CNN frames, or from a probe's cached layers (`probed`)."""

    corpus: Corpus
    model: Path
    device: str
    first: bool = False
    float32: bool = False

    def __post_init__(self) -> None:
        self.classifier = load_classifier(self.model)
        self.runtime = Runtime(pool=Pool(self.corpus.folder), device=torch.device(self.device))

    def reset(self) -> None:
        if self.first:
            shutil.rmtree(self.corpus.folder / "features", ignore_errors=True)

    def run(self) -> NDArray[np.float64]:
        if not self.float32:
            return self._probabilities()
        with patch("aftertone_model.backbones.precision.bf16_is_faster", lambda _: False):
            return self._probabilities()

    def _probabilities(self) -> NDArray[np.float64]:
        return self.corpus.schema.predictions(score(self.classifier, self.corpus.clips, self.runtime).logits)


@dataclass
class OursProbed(Work):
    """What the default does: the transformer is frozen, and its layers' means are kept, in float32. From waveforms
    (`first`), or from the second round on."""

    corpus: Corpus
    model: str
    device: str
    own: Path  # folder for a copy of the pool, in which nobody else removes layers
    first: bool = False

    def __post_init__(self) -> None:
        self.corpus = replace(self.corpus, folder=shutil.copytree(self.corpus.folder, self.own))
        found = backbone(self.model)
        self.runtime = Runtime(pool=Pool(self.corpus.folder), device=torch.device(self.device))
        self.cache = LayerCache(self.corpus.folder, found)
        schema, clips, stages = self.corpus.schema, self.corpus.clips, [Stage(tuning=Tuning.PROBE)]
        labels = np.eye(len(schema.classes))[self.corpus.targets]
        tuned = finetune(found, schema, clips, labels, PRACTICAL, self.runtime, stages=stages, cache=self.cache)
        self.classifier, self.found = tuned.classifier, found

    def reset(self) -> None:
        if self.first:
            for kept in ("features", "layers"):
                shutil.rmtree(self.corpus.folder / kept, ignore_errors=True)
            self.cache = LayerCache(self.corpus.folder, self.found)

    def run(self) -> NDArray[np.float64]:
        found = score(self.classifier, self.corpus.clips, self.runtime, cache=self.cache)
        return self.corpus.schema.predictions(found.logits)


@dataclass
class Transformers(Work):
    """transformers' own model on padded batches of clips of similar length, waveforms in memory."""

    corpus: Corpus
    model: Path
    device: str
    batch: int | None = None  # None: the fastest of `BATCHES` on a quarter of the clips
    bfloat16: bool = False

    def __post_init__(self) -> None:
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        self.extractor = AutoFeatureExtractor.from_pretrained(self.model)
        self.classifier = AutoModelForAudioClassification.from_pretrained(self.model).eval().to(self.device)
        self.waveforms = self.corpus.waveforms()
        if self.batch is None:
            self.batch = self._fastest_batch()

    def run(self) -> NDArray[np.float64]:
        return self._probabilities(range(len(self.waveforms)))

    @torch.inference_mode()
    def _probabilities(self, rows: "range | list[int]") -> NDArray[np.float64]:
        assert self.batch is not None
        order = sorted(rows, key=lambda row: -len(self.waveforms[row]))
        found = np.zeros((len(self.waveforms), len(self.corpus.schema.classes)))
        for first in range(0, len(order), self.batch):
            chosen = order[first : first + self.batch]
            heard = [self.waveforms[row] for row in chosen]
            inputs = self.extractor(heard, sampling_rate=16_000, padding=True, return_tensors="pt").to(self.device)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
                logits = self.classifier(**inputs).logits
            found[chosen] = logits.float().softmax(-1).cpu().numpy()
        return found

    def _fastest_batch(self) -> int:
        import time

        some, took = list(range(0, len(self.waveforms), 4)), {}
        for size in BATCHES:
            self.batch, start = size, time.perf_counter()
            self._probabilities(some)
            took[size] = time.perf_counter() - start
        return min(took, key=lambda size: took[size])


def run(model: str, corpus: Corpus, folder: Path, device: str, runs: int) -> Table:
    """Ours and the peer's, first and later."""
    trained = _trained(model, corpus, folder, device)
    exact = Transformers(corpus, trained, device, batch=1)
    truth = exact.run()
    ours = "Aftertone"
    contenders = [
        Contender(name=f"{ours}, first time", prepare=partial(Ours, corpus, trained, device, first=True)),
        Contender(name=f"{ours}, again", prepare=partial(Ours, corpus, trained, device)),
        Contender(
            name=f"{ours}, first time, probe (default)",
            prepare=partial(OursProbed, corpus, model, device, folder / "first", first=True),
        ),
        Contender(
            name=f"{ours}, again, probe (default)", prepare=partial(OursProbed, corpus, model, device, folder / "again")
        ),
        Contender(name="transformers", prepare=partial(Transformers, corpus, trained, device)),
    ]
    if narrow := bf16_is_faster(torch.device(device)):
        contenders += [
            Contender(name=f"{ours}, again, float32", prepare=partial(Ours, corpus, trained, device, float32=True)),
            Contender(
                name="transformers, bfloat16", prepare=partial(Transformers, corpus, trained, device, bfloat16=True)
            ),
        ]
    results = compete(contenders, runs)
    peer = next(result for result in results if result.name == "transformers")
    wrong = [result.name for result in results if "probe" not in result.name and _ranking(truth, result) < SAME_RANKING]
    encoder = Encoder(load_classifier(trained))
    frames = sum(int(clip.seconds * 16_000 / encoder.hop) for clip in corpus.clips)
    flops = transformer_flops(encoder.body, frames)
    return Table(
        title=f"Scoring, {model}",
        about=f"{len(corpus.clips)} clips, {corpus.seconds:.0f} s of audio. {KINDS}"
        "GFLOP/s are the transformer's alone. "
        f"Differences are from transformers, one clip at a time, in float32. {IN_BFLOAT16 if narrow else IN_FLOAT32}"
        + (
            f" The answers of {', '.join(wrong)} are wrong on this processor, as the last column shows."
            if wrong
            else ""
        ),
        columns=(
            "s",
            "times as fast",
            "audio s/s",
            "GFLOP/s",
            "GB",
            "probabilities differ by",
            "Spearman of entropy",
        ),
        rows={
            result.name: (
                f"{result.median:.3g}",
                ratio(peer, result),
                f"{corpus.seconds / result.median:.0f}",
                "" if "probe" in result.name else f"{flops / result.median / 1e9:.0f}",
                f"{result.memory:.2f}",
                *(("", "") if "probe" in result.name else _agreement(truth, result)),
            )
            for result in results
        },
        results=results,
    )


def _agreement(truth: NDArray[np.float64], result: Result) -> tuple[str, str]:
    return f"{np.abs(truth - result.outcome).max():.5f}", f"{_ranking(truth, result):.4f}"


def _ranking(truth: NDArray[np.float64], result: Result) -> float:
    """Spearman's correlation of entropies."""
    found: Any = spearmanr(entropy(truth), entropy(result.outcome))
    return found.statistic


def _trained(model: str, corpus: Corpus, folder: Path, device: str) -> Path:
    """A classifier that reads the last layer, as transformers' own, trained on half of the clips."""
    from aftertone_model.backbones.preprocessing import feature_extractor

    path = folder / f"{model}-classifier"
    runtime = Runtime(pool=Pool(corpus.folder), device=torch.device(device))
    half = corpus.part(np.arange(0, len(corpus.clips), 2))
    labels = np.eye(len(corpus.schema.classes))[half.targets]
    config = replace(PRACTICAL, mix_layers=False)
    schema = corpus.schema
    tuned = finetune(backbone(model), schema, half.clips, labels, config, runtime, stages=[Stage(tuning=Tuning.PROBE)])
    tuned.classifier.save_pretrained(path)
    feature_extractor(tuned.classifier.config).save_pretrained(path)
    return path
