"""The trainings behind the tables of two-stage adapters: which there are, and one of them."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from aftertone_model.backbones.backbone import load_backbone
from aftertone_model.backbones.features import extract
from aftertone_model.data.clips import Clip
from aftertone_model.data.files import read_json, write_json
from aftertone_model.simulate.differences import Confusions, confusions_by_speaker
from aftertone_model.simulate.disjoint_folds import GROUPS, sides
from aftertone_model.simulate.prepared import Prepared
from aftertone_model.two_stage_adapters.attribute_stage import train_attributes
from aftertone_model.two_stage_adapters.config import AttributeStage, TwoStageConfig
from aftertone_model.two_stage_adapters.model import MultiTaskModel
from aftertone_model.two_stage_adapters.predictions import predict
from aftertone_model.two_stage_adapters.saved import load, save
from aftertone_model.two_stage_adapters.transcript_stage import train_transcripts

STAGE_1 = "stage 1 alone"
ADAPTERS, ALL, MIXED = "adapters, adapters", "all, all", "all, adapters"
NO_FUSION, CONCATENATION, NORM, COSINE = "no fusion", "concatenation", "SCL norm", "SCL cosine"


@dataclass(frozen=True, kw_only=True, order=True)
class MethodCell:
    """One training: a setting of Table 2 or a method of Table 3, on one fold."""

    setting: str
    fold: int
    seed: int = 0

    @property
    def name(self) -> str:
        """What `--plan` prints and the cell's file begins with."""
        return f"{self.setting.replace(', ', '+').replace(' ', '-')}-seed{self.seed}-fold{self.fold}"

    @property
    def first(self) -> "MethodCell":
        """The stage 1 that it goes on from: of all parameters, and of all settings but one the same."""
        return replace(self, setting=STAGE_1)


@dataclass(frozen=True, kw_only=True)
class MethodFigures:
    """How good a model is on the clips left out."""

    emotion: Confusions
    attributes: Mapping[str, Confusions] = field(default_factory=dict[str, Confusions])  # on clips that have them
    seconds: float = 0.0  # wall clock of the training, both stages where it trained both
    transcripts: Mapping[str, int] = field(default_factory=dict[str, int])  # of stage 1: clips that CTC learned from


def settings(config: TwoStageConfig, attributes: tuple[str, ...]) -> dict[str, TwoStageConfig]:
    """Every training by its name.

    Table 2 trains emotion alone in stage 2; Table 3 attributes too, in adapters above the stage 1 of all parameters.
    The paper adds the self-contrastive loss to the feature fusion ("additionally"), so it has the concatenation beside.

    Args:
        attributes: that the corpus has; weights come from the config.
    """
    both = replace(
        config.attributes,
        tuning="adapters",
        attributes={name: weight for name, weight in config.attributes.attributes.items() if name in attributes},
    )
    alone = replace(both, attributes={}, fusion="none", contrast="none")

    def of(stage_1: str, stage_2: AttributeStage) -> TwoStageConfig:
        return replace(config, transcripts=replace(config.transcripts, tuning=stage_1), attributes=stage_2)

    return {
        STAGE_1: of("all", alone),
        ADAPTERS: of("adapters", alone),
        ALL: of("all", replace(alone, tuning="all")),
        MIXED: of("all", alone),
        NO_FUSION: of("all", replace(both, fusion="none", contrast="none")),
        CONCATENATION: of("all", replace(both, fusion="concatenation", contrast="none")),
        NORM: of("all", replace(both, fusion="concatenation", contrast="norm")),
        COSINE: of("all", replace(both, fusion="concatenation", contrast="cosine")),
    }


def learnable(clips: Sequence[Clip], names: Sequence[str]) -> dict[str, bool]:
    """Of attributes that clips have, whether they tell more than the corpus: it must have two values within one."""
    found: dict[str, bool] = {}
    for name in names:
        values: dict[str, set[str]] = {}
        for clip in clips:
            if value := clip.attributes.get(name):
                values.setdefault(clip.attributes.get("corpus", ""), set()).add(value)
        if values:
            found[name] = any(len(there) > 1 for there in values.values())
    return found


def key(prepared: Prepared, cell: MethodCell, config: TwoStageConfig) -> str:
    """16 hex digits that name all that a cell's figures depend on."""
    told = [asdict(cell), asdict(config), GROUPS, len(prepared.folds), prepared.corpus_key, prepared.backbone_key]
    if cell.setting == STAGE_1:
        told[1] = [asdict(config.transcripts), config.feature_width]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def extract_frames(prepared: Prepared, part: Sequence[int], device: str) -> None:
    """The CNN's frames of some clips, once, instead of in each of the cells that run side by side."""
    encoder = load_backbone(prepared.backbone).to(device)
    extract(encoder, [prepared.clips[row] for row in part], prepared.runtime(device))


def run_cell(
    prepared: Prepared, cell: MethodCell, config: TwoStageConfig, file: Path, first: Path, device: str
) -> None:
    """Train and test, and write the figures as `file`, whole or not at all.

    Args:
        first: where stage 1 of all parameters keeps its model; it is there unless this cell is to write it.
    """
    fold, runtime = sides(prepared, cell.fold), prepared.runtime(device, cell.seed)
    hidden = prepared.one_hot()
    labels = np.array([hidden[clip.id] for clip in fold.learning])
    began, transcripts = time.monotonic(), {}
    if cell.setting in (STAGE_1, ADAPTERS):
        backbone = load_backbone(prepared.backbone).to(runtime.device)
        run = train_transcripts(backbone, prepared.schema, fold.learning, labels, config, runtime)
        model, told = run.model, run.targets
        transcripts = {"missing": told.missing, "crowded": told.crowded, "cropped": told.cropped}
        transcripts["learned"] = len(told.symbols) - sum(transcripts.values())
    else:
        model = load(first).to(runtime.device)
    if cell.setting != STAGE_1:
        model = train_attributes(model, fold.learning, labels, config, runtime).model
    figures = judged(model, prepared, cell, device)
    if cell.setting == STAGE_1:
        first.parent.mkdir(parents=True, exist_ok=True)
        save(model, first)
    told = replace(figures, seconds=time.monotonic() - began, transcripts=transcripts)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, asdict(told))


def judged(model: MultiTaskModel, prepared: Prepared, cell: MethodCell, device: str) -> MethodFigures:
    """How good a trained model is on the cell's clips left out."""
    clips = sides(prepared, cell.fold).tested
    hidden = prepared.one_hot()
    truth = np.array([hidden[clip.id].argmax() for clip in clips])
    found = predict(model, clips, prepared.runtime(device, cell.seed))
    speakers = [clip.speaker or "" for clip in clips]
    attributes: dict[str, Confusions] = {}
    for name, values in model.heads.shape.attributes.items():
        rows = [row for row, clip in enumerate(clips) if clip.attributes.get(name) in values]
        attributes[name] = confusions_by_speaker(
            np.array([values.index(clips[row].attributes[name]) for row in rows], np.int64),
            found.attributes[name][rows].argmax(axis=1),
            [speakers[row] for row in rows],
            values,
        )
    return MethodFigures(
        emotion=confusions_by_speaker(truth, found.logits.argmax(axis=1), speakers, prepared.classes),
        attributes=attributes,
    )


def read_cell(file: Path) -> MethodFigures | None:
    """What `run_cell` wrote; None where it hasn't."""
    kept = read_json(file)
    return None if kept is None else MethodFigures(**kept)
