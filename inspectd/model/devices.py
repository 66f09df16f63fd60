"""Opens the device on which networks run. A process uses one device; on a GPU, memory is allocated as needed."""

from dataclasses import dataclass
from pathlib import Path

from inspectd.errors import DeviceError
from inspectd.model.engine import engine
from inspectd.model.engine.backend import ENGINE


@dataclass(frozen=True)
class Device:
    """A device that TensorFlow, or JAX, can use.

    Attributes:
        text: Its name for people and the ledger: `cpu`, or `gpu:0 NVIDIA …`.
        bfloat16: Whether the device computes in bfloat16 faster than in float32.
        int8: Whether it is a processor that multiplies in int8, and TensorFlow uses that.
        remarks: Sentences for the log.
    """

    text: str
    bfloat16: bool
    int8: bool = False
    remarks: tuple[str, ...] = ()


def open_device(wanted: str) -> Device:
    """Makes `wanted` (`auto`, `cpu`, `gpu`, `gpu:N`) the process's device.

    Raises:
        DeviceError: the device does not exist, or TensorFlow already uses another one in this process.
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
        bfloat16 = engine.USES_BFLOAT16 and processor_has_bfloat16()
        return Device("cpu", bfloat16, engine.USES_INT8 and processor_has_int8(), (remark,) if remark else ())
    engine.use(index)
    gpu = gpus[index]
    return Device(f"gpu:{index} {gpu.name}".strip(), gpu.bfloat16)


def idle_gpus(dev: Path = Path("/dev")) -> list[Path]:
    """The device nodes of GPUs: NVIDIA, AMD, and the one of Windows Subsystem for Linux."""
    return sorted([*dev.glob("nvidia[0-9]*"), *dev.glob("kfd"), *dev.glob("dxg")])


def processor_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies in bfloat16: AVX512_BF16 or AMX on x86, BF16 on ARM."""
    return not _flags(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})


def processor_has_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies and adds int8 in one instruction: VNNI or AMX on x86, DotProd or I8MM on ARM."""
    return not _flags(cpuinfo).isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def _flags(cpuinfo: Path) -> set[str]:
    """The features of the first processor by their Linux names; empty if unknown."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())
