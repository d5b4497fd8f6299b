"""`aftertone simulate --method two-stage-adapters`: trainings in parallel, each kept once done, then the tables."""

import csv
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aftertone_model.data.clips import Clip
from aftertone_model.data.files import write_text
from aftertone_model.data.manifest import Row
from aftertone_model.errors import SimulationError
from aftertone_model.progress import Progress, silent
from aftertone_model.simulate.cost import clock
from aftertone_model.simulate.disjoint_folds import GROUPS, SENTENCE, sides
from aftertone_model.simulate.labelled_corpus import LabelledCorpus, read_labelled
from aftertone_model.simulate.method_presets import method_config
from aftertone_model.simulate.prepared import Prepared, decode, extract, one_thread
from aftertone_model.simulate.report import told_of
from aftertone_model.simulate.simulation import PARTS, follow
from aftertone_model.simulate.two_stage import (
    ADAPTERS,
    ALL,
    STAGE_1,
    MethodCell,
    key,
    learnable,
    read_cell,
    run_cell,
    settings,
)
from aftertone_model.simulate.two_stage_tables import Results, tables
from aftertone_model.two_stage_adapters.config import TwoStageConfig
from aftertone_model.two_stage_adapters.transcripts import TRANSCRIPT
