"""Options of commands whose work can be shared by many processes and machines."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.console.common import UserError
from dina_lrm.engines.settings import EngineName, RayEngine


@dataclass(kw_only=True)
class EngineOptions:
    """Where the work is done."""

    engine: EngineName = "local"
    """local: in this process. ray: by workers that Ray starts, here or on many machines; the result is the same."""
    ray_address: str | None = None
    """The Ray to work on, such as auto or 10.0.0.1:6379; by default one is started on this machine, and ends with the
    work."""
    actors: int | None = None
    """Workers of Ray; by default one for each GPU, and where there is none one for each machine."""
    actor_cpus: int = 1
    """Processors that a worker of Ray counts for, and its threads."""

    def ray_engine(self) -> RayEngine | None:
        """What is asked of Ray; None where the work is done here. Raises UserError for options that do nothing."""
        if self.engine == "ray":
            engine = RayEngine(self.ray_address, self.actors, self.actor_cpus)
            engine.check()
            return engine
        given = {"--ray-address": self.ray_address is not None, "--actors": self.actors is not None}
        for name in [name for name, is_given in (given | {"--actor-cpus": self.actor_cpus != 1}).items() if is_given]:
            raise UserError(f"{name} was given with --engine local; accepted: with --engine ray")
        return None
