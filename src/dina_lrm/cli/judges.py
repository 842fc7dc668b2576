"""The judges that a command line names: latent reward models, and rewards by family."""

from __future__ import annotations

from collections.abc import Iterable


def check_rewards(names: Iterable[str]) -> None:
    """ValueError for a name that is no reward's, before anything is loaded or drawn."""
    from dina_lrm.rewards import names as known

    known.check_rewards(names)
