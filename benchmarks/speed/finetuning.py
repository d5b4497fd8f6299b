"""Fine-tuning the whole transformer, until it judges unheard speakers as well."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.finetune import RETRIES, finetune
from aftertone_model.classification.scoring import score
from aftertone_model.config import PRACTICAL, Stage, Tuning
from aftertone_model.data.pool import Pool
from aftertone_model.evaluation.test_split import assign_test_split
from aftertone_model.runtime import Runtime
from benchmarks.speed.contest import Contender, Result, Work, compete
from benchmarks.speed.corpus import MINI, Corpus, backbone
from benchmarks.speed.report import Table

BATCH = 8  # clips per update of the peer, its default
RATE = 1e-4  # of the peer; ours are `PRACTICAL`'s


@dataclass
class Tuned(Work):
    """Trains a classifier on a corpus, each run with another seed; the outcome is what it says of the test clips."""

    corpus: Corpus
    test: Corpus
    model: str
    device: str
    epochs: int
    seed: int = field(default=-1, init=False)

    def reset(self) -> None:
        self.seed += 1


@dataclass
class Ours(Tuned):
    """`finetune` on cached CNN frames, which a project has from its import on."""

    tuning: Tuning

    def __post_init__(self) -> None:
        self.backbone = backbone(self.model)
        self.labels = np.eye(len(self.corpus.schema.classes))[self.corpus.targets]
        self.config = replace(PRACTICAL, epochs=self.epochs, updates=0)
        self.trained: Any = None

    @property
    def runtime(self) -> Runtime:
        return Runtime(pool=Pool(self.corpus.folder), device=torch.device(self.device), seed=self.seed)

    def run(self) -> None:
        stages, schema = [Stage(tuning=self.tuning)], self.corpus.schema
        # Random weights end in one answer for all clips, which would be tried again.
        with patch("aftertone_model.classification.finetune.RETRIES", RETRIES if self.model == MINI else 0):
            tuned = finetune(
                self.backbone, schema, self.corpus.clips, self.labels, self.config, self.runtime, stages=stages
            )
        self.trained = tuned.classifier

    def outcome(self, returned: None) -> NDArray[np.float64]:  # noqa: ARG002
        return self.corpus.schema.predictions(score(self.trained, self.test.clips, self.runtime).logits)


@dataclass
class Transformers(Tuned):
    """transformers' Trainer with its own classifier, CNN frozen, clips grouped by length."""

    out: Path

    def __post_init__(self) -> None:
        from aftertone_model.backbones.preprocessing import feature_extractor

        start = new_classifier(backbone(self.model), self.corpus.schema, mix_layers=False, seed=0)
        self.extractor, self.start = feature_extractor(start.config), self.out / "start"
        start.save_pretrained(self.start)
        self.heard = [self.extractor(w, sampling_rate=16_000).input_values[0] for w in self.corpus.waveforms()]
        self.asked = [self.extractor(w, sampling_rate=16_000).input_values[0] for w in self.test.waveforms()]
        self.trained: Any = None

    def run(self) -> None:
        from transformers import AutoModelForAudioClassification, Trainer, TrainingArguments, set_seed
        from transformers.trainer_pt_utils import LengthGroupedSampler

        set_seed(self.seed)
        model: Any = AutoModelForAudioClassification.from_pretrained(self.start)
        torch.nn.init.normal_(model.classifier.weight, std=0.02)
        model.freeze_feature_encoder()
        lengths = [len(waveform) for waveform in self.heard]
        examples = [
            {"input_values": waveform, "labels": int(target)}
            for waveform, target in zip(self.heard, self.corpus.targets, strict=True)
        ]

        class Grouped(Trainer):
            """The Trainer finds lengths in a `datasets.Dataset` alone."""

            def _get_train_sampler(self, train_dataset: Any = None) -> Any:  # noqa: ARG002
                return LengthGroupedSampler(BATCH, lengths=lengths)

        arguments = TrainingArguments(
            output_dir=str(self.out / "trainer"),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            warmup_steps=0.1,
            use_cpu=self.device == "cpu",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=self.seed,
            dataloader_pin_memory=False,
        )
        trainer = Grouped(model=model, args=arguments, train_dataset=examples, data_collator=self._collate)  # pyright: ignore[reportArgumentType]
        trainer.train()
        self.trained = model.eval()

    @torch.no_grad()
    def outcome(self, returned: None) -> NDArray[np.float64]:  # noqa: ARG002
        rows = []
        for waveform in self.asked:
            inputs = torch.from_numpy(np.asarray(waveform))[None].to(self.trained.device)
            rows.append(self.trained(inputs).logits.softmax(-1)[0].cpu().numpy())
        return np.array(rows)

    def _collate(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        heard = [{"input_values": example["input_values"]} for example in examples]
        batch = dict(self.extractor.pad(heard, padding=True, return_tensors="pt"))
        return {**batch, "labels": torch.tensor([example["labels"] for example in examples])}


def run(model: str, corpus: Corpus, folder: Path, device: str, runs: int) -> Table:
    """Train on some speakers, judge others; with random weights nothing is learned, and one pass tells the time."""
    ours, peers = ((5,), (10, 20)) if model == MINI else ((1,), (1,))
    sides = assign_test_split(corpus.clips, {}, share=0.4)
    asked = np.array([sides[clip.id] for clip in corpus.clips])
    training, test = corpus.part(np.flatnonzero(~asked)), corpus.part(np.flatnonzero(asked))
    make = partial(Ours, training, test, model, device)
    have_frames(training, test, model, device)
    contenders = [
        *(Contender(name=f"Aftertone, full, {n} passes", prepare=partial(make, n, Tuning.FULL)) for n in ours),
        *(Contender(name=f"Aftertone, LoRA, {n} passes", prepare=partial(make, n, Tuning.LORA)) for n in ours[:1]),
        *(
            Contender(
                name=f"transformers' Trainer, {n} passes",
                prepare=partial(Transformers, training, test, model, device, n, folder / f"trainer-{n}"),
            )
            for n in peers
        ),
    ]
    results = compete(contenders, runs, warm_up=False)
    first = results[0]
    return Table(
        title=f"Fine-tuning, {model}",
        about=f"{len(training.clips)} labelled clips ({training.seconds:.0f} s of audio) to train on, "
        f"{len(test.clips)} of other speakers to judge; {len(first.seconds)} seeds. Aftertone's CNN frames are cached, "
        "as in a project from its import on; transformers computes them at each pass. ± is the deviation over seeds.",
        columns=("s", "s per pass", "times Aftertone's time", "GB", "macro-F1", "UA"),
        rows={
            result.name: (
                f"{result.median:.1f}",
                f"{result.median / int(result.name.split()[-2]):.1f}",
                f"{result.median / first.median:.2f}",
                f"{result.memory:.2f}",
                *_quality(test, result),
            )
            for result in results
        },
        results=results,
    )


def have_frames(training: Corpus, test: Corpus, model: str, device: str) -> None:
    """Have all frames cached."""
    from aftertone_model.backbones.features import extract

    runtime = Runtime(pool=Pool(training.folder), device=torch.device(device))
    extract(backbone(model).to(device), [*training.clips, *test.clips], runtime)


def _quality(test: Corpus, result: Result) -> tuple[str, str]:
    """Mean and deviation over the runs."""
    truth = np.eye(len(test.schema.classes))[test.targets]
    found = [test.schema.measure(truth, p, [clip.speaker for clip in test.clips]) for p in result.outcomes]
    return _spread([measured.macro_f1.value for measured in found]), _spread([measured.ua.value for measured in found])


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.3f}"
