"""The figures' own dependency is an extra."""

import importlib
import sys

import pytest

from aftertone_model.errors import SimulationError


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "aftertone_model.simulate.figures", raising=False)
    with pytest.raises(SimulationError, match=r"pip install aftertone\[simulate\]"):
        importlib.import_module("aftertone_model.simulate.figures")
