"""`python -m tests.chaos`: break things under a real Label Studio, and prove that nothing was lost."""

import argparse
import ctypes
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from aftertone_model.progress import hide_library_bars
from tests.chaos.experiment import Options
from tests.chaos.faults import FAULTS
from tests.chaos.label_studio import Host
from tests.chaos.namespace import enter
from tests.chaos.run import run

PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 where something happened that must not."""
    given = _parser().parse_args(arguments)
    names = list(FAULTS) if given.faults is None else [name.strip() for name in given.faults.split(",")]
    if unknown := set(names) - FAULTS.keys():
        sys.exit(f"There is no fault {sorted(unknown)}; there are: {', '.join(FAULTS)}")
    isolated = enter(arguments)
    hide_library_bars()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what others leave behind becomes ours to see
    folder = given.folder or Path(tempfile.mkdtemp(prefix="aftertone-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} must be empty.")
    drawn = random.Random(f"redis {given.seed}").choice(("embedded", "external"))
    host = None
    if given.documents is not None:
        host = Host(os.environ["LABEL_STUDIO_URL"], os.environ["LABEL_STUDIO_API_KEY"], given.documents)
    options = Options(
        folder=folder.resolve(),
        kills=given.kills,
        minutes=given.minutes,
        seed=given.seed,
        external=(given.redis or drawn) == "external",
        desks=given.projects,
        pace=given.pace,
        faults={name: FAULTS[name] for name in names},
        isolated=isolated,
        host=host,
    )
    status = run(options, lambda line: print(line, flush=True))
    if status == 0 and given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)  # the disk in it ends with us
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    add("--kills", type=int, required=True, help="SIGKILLs after which it is enough; other faults are not counted")
    add("--minutes", type=float, default=600.0, help="minutes of faults after which it is enough in any case")
    add("--seed", type=int, default=0, help="of everything that is drawn (default 0)")
    add("--folder", type=Path, help="empty folder for everything; kept. By default a new one, kept when it fails")
    add("--faults", help=f"only these, with commas between them; all by default: {', '.join(FAULTS)}")
    add("--redis", choices=("embedded", "external"), help="drawn from the seed by default")
    add("--projects", type=int, default=2, help="projects that are labelled at a time, by two people each (default 2)")
    add("--pace", type=float, default=3.0, help="mean seconds between two labels of one person (default 3)")
    add(
        "--documents",
        type=Path,
        help="use the Label Studio at LABEL_STUDIO_URL, with LABEL_STUDIO_API_KEY, whose documents lie here, instead "
        "of starting one; it is then never killed",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
