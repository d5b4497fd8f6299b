"""What a simulation compares."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aftertone_model.simulate.grid import Grid, Initialisation, config_of
from aftertone_model.simulate.results import Result, Series, series


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is compared: a preset, with or without TAPT, how the seed set is drawn, a query strategy,
    and how many votes a clip gets."""

    preset: str
    tapt: bool
    initialisation: str
    strategy: str
    voting: str = "1"

    def __str__(self) -> str:
        adapted = "TAPT" if self.tapt else "no TAPT"
        votes = "" if self.voting == "1" else f", votes {self.voting}"
        return f"{self.strategy}, {self.initialisation} seeds{votes}, {adapted}, {self.preset}"

    @property
    def random(self) -> "Condition":
        """Random labels and random seeds, otherwise the same."""
        return replace(self, initialisation=Initialisation.RANDOM, strategy="random")

    def of(self, results: Sequence[Result]) -> Series | None:
        """Its line; None where it wasn't run."""
        return series(results, self.preset, self.tapt, self.initialisation, self.strategy, self.voting)


def ours(grid: Grid) -> Condition:
    """The condition nearest to the default: the preset's own strategy, clustered seeds and TAPT, where tried."""
    preset = grid.presets[0]
    informed = [name for name in grid.strategies if name != "random"] or list(grid.strategies)
    default = config_of(preset).strategy
    clustered = Initialisation.CLUSTERED
    return Condition(
        preset=preset,
        tapt=True in grid.tapt,
        initialisation=clustered if clustered in grid.initialisations else grid.initialisations[0],
        strategy=default if default in grid.strategies else informed[0],
        voting=grid.voting[0],
    )


def conditions(grid: Grid) -> list[Condition]:
    """All that the grid asks for."""
    return [
        Condition(preset=preset, tapt=tapt, initialisation=initialisation, strategy=strategy, voting=voting)
        for preset in grid.presets
        for tapt in grid.tapt
        for strategy in grid.strategies
        for initialisation in grid.initialisations
        for voting in grid.voting
    ]
