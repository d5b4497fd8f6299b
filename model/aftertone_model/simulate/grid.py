"""Which cells a simulation has, and about how long they take."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from pydantic import ValidationError

from aftertone_model.acquisition import suitable
from aftertone_model.config import PRACTICAL, TAPT_PROFILES, PretrainingConfig, TrainingConfig, Tuning
from aftertone_model.config import PRESETS as PRODUCT_PRESETS
from aftertone_model.errors import SimulationError
from aftertone_model.simulate.crowd import CORPUS_LABELS, Crowd
from aftertone_model.simulate.prevalence import Prevalence

ALL = "all"  # the strategy of cells that have every label at once
ALLOCATED = "allocated"  # votes go where ActiveLab says; otherwise each clip gets the same number
PRESETS: Mapping[str, TrainingConfig] = PRODUCT_PRESETS | {"light": replace(PRACTICAL, tuning=Tuning.PROBE)}
"""The product's presets, and `light`: `practical` with a probe, whatever tuning that may come to have."""


class Initialisation:
    """How the seed set is drawn."""

    RANDOM = "random"
    CLUSTERED = "clustered"


INITIALISATIONS = (Initialisation.RANDOM, Initialisation.CLUSTERED)


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One simulated project, from its seed set to its last label."""

    preset: str
    tapt: bool
    initialisation: str
    strategy: str
    seed: int
    fold: int  # whose speakers are tested on
    voting: str = "1"  # votes that each clip gets, or ALLOCATED

    @property
    def name(self) -> str:
        """What `--plan` prints and the cell's file begins with."""
        parts = (self.preset, "tapt" if self.tapt else "unadapted", self.initialisation, self.strategy)
        parts += () if self.voting == "1" else (f"votes+{self.voting}",)
        return "-".join((*parts, f"seed{self.seed}", f"fold{self.fold}")).replace(":", "+").replace("=", "_")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Everything that a simulation is asked to try."""

    strategies: tuple[str, ...]
    initialisations: tuple[str, ...] = INITIALISATIONS
    tapt: tuple[bool, ...] = (False, True)
    presets: tuple[str, ...] = ("light",)
    shares: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 1.0)  # of the pool's labels, ascending
    seeds: int = 10
    folds: int = 5
    every_fold: bool = False  # every seed on every fold; otherwise seed s leaves out fold s, modulo the folds
    batch: int | None = None  # labels between two rounds; None: as many as to the next share
    four: bool = False  # only the four conditions of the paper's Table 4
    prevalence: Prevalence = ()  # of the pool; () leaves it as the corpus is
    rare: tuple[str, ...] = ()  # classes that are to be found; () are those under half of an even share
    crowd: Crowd = CORPUS_LABELS  # who votes
    voting: tuple[str, ...] = ("1",)

    def __post_init__(self) -> None:
        for name in ("strategies", "initialisations", "tapt", "presets", "rare", "voting"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))  # what is named twice runs once
        for option, listed in (
            ("--strategies", self.strategies),
            ("--initialisations", self.initialisations),
            ("--tapt", self.tapt),
            ("--preset", self.presets),
            ("--votes", self.voting),
        ):
            if not listed:
                raise SimulationError(f"{option} names nothing. Name at least one, or leave the option out.")
        for name in self.strategies:
            if name not in (known := suitable("probabilities")):
                raise SimulationError(f"There is no strategy {name}. There are: {', '.join(known)}.")
        for name in self.initialisations:
            if name not in INITIALISATIONS:
                raise SimulationError(f"There is no initialisation {name}. There are: {', '.join(INITIALISATIONS)}.")
        for preset in self.presets:
            config_of(preset)
        for voting in self.voting:
            several = self.crowd.annotators
            if voting != ALLOCATED and not (voting.isdecimal() and int(voting) >= 1):
                raise SimulationError(f"--votes takes numbers and {ALLOCATED}, such as 1,3,{ALLOCATED}; not {voting}.")
            if voting != "1" and (several < 2 or (voting != ALLOCATED and int(voting) > several)):
                raise SimulationError(f"{voting} votes a clip need more annotators than {several}; say --annotators.")
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise SimulationError("Shares of labels are percentages above 0 and up to 100, such as 5,10,20,100.")

    def cells(self) -> list[Cell]:
        """All of them, those of the first seed first, so that a first picture is there early."""
        found: list[Cell] = []
        for seed, fold in self._splits():
            for preset, tapt in itertools.product(self.presets, self.tapt):
                if min(self.shares) < 1:
                    found += [
                        Cell(
                            preset=preset,
                            tapt=tapt,
                            initialisation=start,
                            strategy=strategy,
                            seed=seed,
                            fold=fold,
                            voting=voting,
                        )
                        for strategy, start, voting in itertools.product(
                            self.strategies, self.initialisations, self.voting
                        )
                        if not self.four or _in_table_4(tapt, start, strategy)
                    ]
                if max(self.shares) == 1:
                    found.append(Cell(preset=preset, tapt=tapt, initialisation=ALL, strategy=ALL, seed=seed, fold=fold))
        return found

    def shares_of(self, cell: Cell) -> tuple[float, ...]:
        """The shares at which a cell is tested: all labels at once are the same project for every strategy."""
        return (1.0,) if cell.strategy == ALL else tuple(share for share in sorted(self.shares) if share < 1)

    def key(self, cell: Cell, corpus: str, backbone: str) -> str:
        """16 hex digits that name all that a cell's figures depend on."""
        told = [asdict(cell), asdict(config_of(cell.preset)), self.shares_of(cell), self.batch, self.folds]
        told += [self.prevalence, self.rare, asdict(self.crowd)]
        return hashlib.sha256(json.dumps([*told, corpus, backbone]).encode()).hexdigest()[:16]

    def _splits(self) -> list[tuple[int, int]]:
        if self.every_fold:
            return list(itertools.product(range(self.seeds), range(self.folds)))
        return [(seed, seed % self.folds) for seed in range(self.seeds)]


def _in_table_4(tapt: bool, initialisation: str, strategy: str) -> bool:
    """Whether a condition is one of the paper's four: its own, and those that lack TAPT, acquisition or both."""
    if strategy == "random" or not tapt:
        return initialisation == Initialisation.RANDOM
    return initialisation == Initialisation.CLUSTERED


def config_of(preset: str) -> TrainingConfig:
    """The config of a preset's name, such as `paper`, or of one with changes: `light:warm_start=true,dropout=0.1`.

    `tapt=NAME` takes one of TAPT_PROFILES, `tapt.passes=2` changes one of its fields.

    Raises:
        SimulationError: there is no such preset or field, its value doesn't fit, or it is the strategy.
    """
    name, _, changes = preset.partition(":")
    if name not in PRESETS:
        raise SimulationError(f"There is no preset {name}. There are: {', '.join(PRESETS)}.")
    config = PRESETS[name]
    for change in filter(None, changes.split(",")):
        path, _, value = change.partition("=")
        part, _, field = path.partition(".")
        if path == "strategy":
            raise SimulationError(f"{change}: a preset's strategy isn't used here. Name it in --strategies.")
        try:
            if path == "tapt":
                config = replace(config, tapt=TAPT_PROFILES[value])
            elif part == "tapt":
                config = replace(config, tapt=replace(config.tapt or PretrainingConfig(), **{field: value}))
            else:
                config = replace(config, **{path: value})  # the text is read as what the field is
        except KeyError:
            raise SimulationError(f"{change}: there is no such TAPT. There are: {', '.join(TAPT_PROFILES)}.") from None
        except ValidationError as error:
            known = [each.name for each in fields(PretrainingConfig if part == "tapt" else TrainingConfig)]
            if (field or path) not in known:
                raise SimulationError(f"A config has no field {path}. It has: {', '.join(known)}.") from None
            raise SimulationError(f"{change}: {error.errors()[0]['msg']}.") from None
    return config


def label_counts(shares: Sequence[float], pool: int) -> list[int]:
    """Labels at each share of a pool, at least one."""
    return [max(1, round(share * pool)) for share in shares]
