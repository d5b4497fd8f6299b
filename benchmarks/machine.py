"""What this machine can do at most, and what it is."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

SMALL, SIZE = 256, 2_048  # rows and columns of the matrices
SLOW = 0.01  # seconds for the small ones, beyond which large ones would take minutes
COPIED = 256 << 20  # bytes, far beyond a processor's caches
RUNS = 7
PACKAGES = ("torch", "transformers", "numpy", "scikit-learn")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as measured now."""

    processor: str
    cores: int
    python: str
    versions: dict[str, str]
    float32: float  # GFLOP/s of a product of two matrices
    bfloat16: float
    bandwidth: float  # GB/s read and written in a copy
    load: float  # average of the minute before; anything else that runs falsifies a benchmark

    def lines(self) -> list[str]:
        """For the page."""
        packages = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return [
            f"- Machine: {self.processor}, {self.cores} cores, Python {self.python}; load before: {self.load:.1f}",
            f"- Versions: {packages}",
            f"- Products of matrices: {self.float32:.0f} GFLOP/s in float32, {self.bfloat16:.0f} in bfloat16; memory: "
            f"{self.bandwidth:.0f} GB/s",
        ]

    def record(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def measure_machine(device: torch.device) -> Machine:
    """Takes some seconds."""
    load = os.getloadavg()[0]
    return Machine(
        processor=torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        versions={name: version(name) for name in PACKAGES},
        float32=_matmul_rate(device, torch.float32),
        bfloat16=_matmul_rate(device, torch.bfloat16),
        bandwidth=_bandwidth(device),
        load=load,
    )


def processor() -> str:
    """Its name, and the widest instructions that it multiplies with, as vendors give one name to several processors."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {_instructions()}"


def _instructions() -> str:
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    return "AVX512_BF16" if torch.cpu._is_avx512_bf16_supported() else torch.backends.cpu.get_cpu_capability()


def _matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    size, took = SMALL, _product_seconds(SMALL, device, dtype)
    if took < SLOW:
        size, took = SIZE, _product_seconds(SIZE, device, dtype)
    return 2 * size**3 / took / 1e9


def _product_seconds(size: int, device: torch.device, dtype: torch.dtype) -> float:
    matrix = torch.randn(size, size, device=device).to(dtype)
    return _seconds(lambda: matrix @ matrix, device)


def _bandwidth(device: torch.device) -> float:
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / _seconds(lambda: target.copy_(source), device) / 1e9


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median of some runs after a first."""
    took = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:])
