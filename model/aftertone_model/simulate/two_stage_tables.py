"""The tables of two-stage adapters in the paper's form, the paper's figures beside them, and which claims hold."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aftertone_model.simulate.differences import Confusions, clustered, ua
from aftertone_model.simulate.intervals import Interval, interval
from aftertone_model.simulate.table import Table
from aftertone_model.simulate.two_stage import (
    ADAPTERS,
    ALL,
    CONCATENATION,
    COSINE,
    MIXED,
    NO_FUSION,
    NORM,
    STAGE_1,
    MethodCell,
    MethodFigures,
)

Results = Mapping[MethodCell, MethodFigures]

PAPER_2: Mapping[str, tuple[float, float]] = {  # UA, WA of emotion
    STAGE_1: (75.40, 75.17),  # of its Table 1: all parameters, SER and ASR
    ADAPTERS: (71.89, 71.46),
    ALL: (74.92, 73.81),
    MIXED: (76.54, 76.07),
}
PAPER_3: Mapping[str, tuple[float, float, float, float]] = {  # UA, WA of emotion; UA of gender, of style
    NO_FUSION: (77.13, 76.30, 98.48, 91.33),
    CONCATENATION: (76.89, 76.06, 98.77, 89.29),
    NORM: (77.91, 77.24, 98.31, 90.23),
    COSINE: (78.49, 77.85, 98.64, 90.57),
}
STAGES: Mapping[str, tuple[str, str, str]] = {  # setting, stage 1, stage 2
    STAGE_1: ("", "all parameters", "none"),
    ADAPTERS: ("1", "adapters", "adapters"),
    ALL: ("2", "all parameters", "all parameters"),
    MIXED: ("3", "all parameters", "adapters"),
}
CLAIMS: Sequence[tuple[str, str, str]] = (  # what the paper says, ours, theirs
    ("all parameters in stage 1 are better than adapters", MIXED, ADAPTERS),
    ("adapters in stage 2 are better than all parameters", MIXED, ALL),
    ("a second stage is better than none", MIXED, STAGE_1),
    ("other attributes in stage 2 help emotion", NO_FUSION, MIXED),
    ("concatenation is about level with no fusion", CONCATENATION, NO_FUSION),
    ("SCL norm helps", NORM, NO_FUSION),
    ("SCL cosine helps", COSINE, NO_FUSION),
    ("SCL cosine is better than SCL norm", COSINE, NORM),
)
PAPER_UA = {name: figures[0] for name, figures in (*PAPER_2.items(), *PAPER_3.items())}


def tables(results: Results) -> list[Table]:
    """Tables 2 and 3, and the claims, of what was run."""
    return [table for table in (table_2(results), table_3(results), claims(results)) if table.rows]


def table_2(results: Results) -> Table:
    """How each stage is trained."""
    rows = [
        (*STAGES[name], *_emotion(results, name), *(f"{figure:.2f}" for figure in PAPER_2[name]))
        for name in STAGES
        if _cells(results, name)
    ]
    return Table(
        title="How the stages are trained (the paper's Table 2)",
        note="Emotion in % on speakers and sentences left out, with 95 % intervals by fold. Stage 1 learns emotion and "
        "transcript, stage 2 emotion alone. The row without a number is stage 1 alone, of the paper's Table 1.",
        head=("setting", "stage 1", "stage 2", "UA", "WA", "paper's UA", "paper's WA"),
        rows=tuple(rows),
    )


def table_3(results: Results) -> Table:
    """What the tasks of stage 2 do for each other."""
    learned = sorted({name for figures in results.values() for name in figures.attributes})
    places = {"gender": 2, "style": 3}
    rows = [
        (
            name,
            *_emotion(results, name),
            *(_attribute(results, name, attribute).percent() for attribute in learned),
            *(f"{PAPER_3[name][place]:.2f}" for place in (0, 1)),
            *(f"{PAPER_3[name][places[attribute]]:.2f}" for attribute in learned),
        )
        for name in PAPER_3
        if _cells(results, name)
    ]
    return Table(
        title="Adapters for other attributes in stage 2 (the paper's Table 3)",
        note="In %, as above; stage 1 trains all parameters, stage 2 adapters. The paper's stage 2 learns gender and "
        f"style, ours {' and '.join(learned) or 'neither'}.",
        head=("method", "UA", "WA", *learned, *(f"paper's {name}" for name in ("UA", "WA", *learned))),
        rows=tuple(rows),
    )


def claims(results: Results) -> Table:
    """What the paper concludes, and whether it is so here."""
    rows: list[tuple[str, ...]] = []
    for told, ours, theirs in CLAIMS:
        runs = sorted((cell.seed, cell.fold) for cell in _cells(results, ours))
        pairs = [
            (results[MethodCell(setting=ours, seed=seed, fold=fold)].emotion, other.emotion)
            for seed, fold in runs
            if (other := results.get(MethodCell(setting=theirs, seed=seed, fold=fold)))
        ]
        if pairs:
            mine, others = zip(*pairs, strict=True)
            found = clustered(mine, others, ua)
            paper = PAPER_UA[ours] - PAPER_UA[theirs]
            rows.append((told, found.written(100, 1, "+"), f"{paper:+.1f}", _verdict(found, paper)))
    return Table(
        title="Which of the paper's claims hold here",
        note="Points of UA, paired by run, with 95 % intervals clustered by run and by speaker.",
        head=("claim", "here", "in the paper", "so it"),
        rows=tuple(rows),
    )


def _verdict(found: Interval, paper: float) -> str:
    if np.isnan(found.low) or found.low <= 0 <= found.high:
        return "can't be told"
    return "holds" if (found.mean > 0) == (paper > 0) else "is the other way round"


def wa(confusion: NDArray[np.float64]) -> float:
    """Share of the clips that are right, of counts (C, C)."""
    return float(confusion.diagonal().sum() / confusion.sum())


def _cells(results: Results, setting: str) -> list[MethodCell]:
    return sorted(cell for cell in results if cell.setting == setting)


def _emotion(results: Results, setting: str) -> tuple[str, str]:
    cells = _cells(results, setting)
    counts = [_summed(results[cell].emotion) for cell in cells]
    folds = [cell.fold for cell in cells]
    first, second = (interval(np.array([figure(count) for count in counts]), folds) for figure in (ua, wa))
    return first.percent(), second.percent()


def _attribute(results: Results, setting: str, name: str) -> Interval:
    """UA over the folds whose clips left out have the attribute."""
    cells = [cell for cell in _cells(results, setting) if results[cell].attributes.get(name)]
    if not cells:
        return Interval(mean=np.nan, low=np.nan, high=np.nan)
    values = np.array([ua(_summed(results[cell].attributes[name])) for cell in cells])
    return interval(values, [cell.fold for cell in cells])


def _summed(confusions: Confusions) -> NDArray[np.float64]:
    """(C, C) over all speakers."""
    return np.sum(list(confusions.values()), axis=0).astype(np.float64)
