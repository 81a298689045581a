"""Where the jobs of a sweep run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True)
class Local:
    """Run in this process, one population after another.

    Parameters
    ----------
    members : int
        Most jobs side by side. 4 to 8 suit a CPU, 64 a GPU.

    Examples
    --------
    >>> Local(members=4)
    Local(members=4)
    """

    members: int = 8

    def __post_init__(self) -> None:
        _positive("members", self.members)


@dataclass(frozen=True, slots=True)
class Cores:
    """Run in one single-threaded worker process for each core, each pinned to its core where the system can.

    Two such workers do more than one process with two threads, since small matrices do not divide well.

    Parameters
    ----------
    count : int, optional
        Number of workers; by default, one for each core that this process may use.
    members : int
        Most jobs side by side in one worker.

    Examples
    --------
    >>> Cores(2)
    Cores(count=2, members=8)
    """

    count: int | None = None
    members: int = 8

    def __post_init__(self) -> None:
        _positive("members", self.members)
        if self.count is not None:
            _positive("count", self.count)


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Run in worker processes on the GPUs that JAX finds, with the compiler settings that suit small models.

    Parameters
    ----------
    members : int
        Most jobs side by side.
    devices : int
        GPUs of this machine to use.
    workers : int
        Processes for each GPU, which share its memory: one can train while another compiles.

    Examples
    --------
    >>> Accelerator(devices=2)
    Accelerator(members=64, devices=2, workers=1)
    """

    members: int = 64
    devices: int = 1
    workers: int = 1

    def __post_init__(self) -> None:
        _positive("members", self.members)
        _positive("devices", self.devices)
        _positive("workers", self.workers)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Run on a Dask cluster: one population for each task, the results written by this process alone.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Address ("tcp://…") or a client that is connected already, for instance to a
        ``dask_jobqueue.SLURMCluster``. Workers should have one thread each.
    members : int
        Most jobs side by side in one task.
    retries : int
        How often the work of a dead worker is given to another before the job that is to blame is given up.
    """

    scheduler: str | Client
    members: int = 8
    retries: int = 20

    def __post_init__(self) -> None:
        _positive("members", self.members)


Where = Local | Cores | Accelerator | Cluster


def _positive(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")
