"""Where a network runs. One process uses one device; on a GPU, memory is taken as it is needed."""

from dataclasses import dataclass
from pathlib import Path

from inspectd.errors import DeviceError
from inspectd.model.backend import ENGINE
from inspectd.model.engine import engine


@dataclass(frozen=True)
class Device:
    """A device that TensorFlow, or JAX, can use.

    Attributes:
        text: For people and the ledger: `cpu`, or `gpu:0 NVIDIA …`.
        bfloat16: Whether the device computes in bfloat16 faster than in float32.
        remarks: Sentences for the log.
    """

    text: str
    bfloat16: bool
    remarks: tuple[str, ...] = ()


def open_device(wanted: str) -> Device:
    """Makes `wanted` (`auto`, `cpu`, `gpu`, `gpu:N`) the process's device.

    Raises:
        DeviceError: it is not there, or TensorFlow already runs on another one in this process.
    """
    gpus = [] if wanted == "cpu" else engine.gpus()
    kind, _, number = wanted.partition(":")
    index = int(number or 0)
    if kind == "gpu" and index >= len(gpus):
        seen = f"{ENGINE} sees {len(gpus)} GPUs" if gpus else f"{ENGINE} sees no GPU"
        raise DeviceError(f"worker.device: {wanted}: {seen}. {engine.INSTALL}, or set `device: cpu`.")
    if not gpus:
        engine.use(None)
        idle = idle_gpus() if wanted == "auto" else []
        remark = (
            f"{idle[0]} exists but {ENGINE} sees no GPU: running on the processor. {engine.INSTALL}." if idle else ""
        )
        return Device("cpu", engine.USES_BFLOAT16 and processor_has_bfloat16(), (remark,) if remark else ())
    engine.use(index)
    gpu = gpus[index]
    return Device(f"gpu:{index} {gpu.name}".strip(), gpu.bfloat16)


def idle_gpus(dev: Path = Path("/dev")) -> list[Path]:
    """Device nodes of GPUs: NVIDIA, AMD, and the one that Windows lends to Linux."""
    return sorted([*dev.glob("nvidia[0-9]*"), *dev.glob("kfd"), *dev.glob("dxg")])


def processor_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies in bfloat16: AVX512_BF16 or AMX on x86, BF16 on ARM."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})
