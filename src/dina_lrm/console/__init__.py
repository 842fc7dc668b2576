"""How any command is read, run, told and ended. Nothing here knows a single command: those are in `cli/`.

| noun | place |
|---|---|
| a row of the table of commands | `command.py` |
| from words to an exit code | `run.py` |
| words to options, and what is wrong with them | `words.py`, `numbers.py`, `levels.py` |
| settings in a file: `--config`, `--print-config` | `config.py`, `config_file.py`, `yaml_text.py` |
| completion in a shell | `completion.py` |
| options that all commands have, progress, what is printed | `common.py`, `notices.py` |
| the result that `--json` keeps | `result.py` |
| errors as a line and an exit code | `ending.py` |
"""
