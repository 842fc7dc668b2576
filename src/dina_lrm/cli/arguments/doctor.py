"""The options of `dina-lrm doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Show versions, devices and what each extra lacks; score two bundled pairs against golden numbers.

    Example:
        dina-lrm doctor --json doctor.json
    """
