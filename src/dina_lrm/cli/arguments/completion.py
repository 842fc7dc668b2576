"""Options of `dina-lrm completion`."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.completion import Shell


@dataclass
class Arguments(CommonArguments):
    """Print a script that completes commands, recipes, options and their choices in a shell.

    Examples:
        dina-lrm completion bash > ~/.local/share/bash-completion/completions/dina-lrm
        dina-lrm completion zsh > ~/.dina-lrm.zsh && echo "source ~/.dina-lrm.zsh" >> ~/.zshrc
        dina-lrm completion fish > ~/.config/fish/completions/dina-lrm.fish
    """

    shell: Positional[Shell]
    """Which shell."""
