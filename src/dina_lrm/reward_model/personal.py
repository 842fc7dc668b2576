"""Models of several people side by side in one folder: which of its models is whose.

    runs/people/annotators.json     {"annotators": [{"number": 1, "names": ["ann"]}, {"number": 2, "names": []}]}
    runs/people/annotator-1/model   a reward model: a small LoRA and a head; the generator is named, and shared by all

A store of votes keeps no names, only numbers: names stand here where whoever trained the models gave them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.locate import MODEL_OF_RUN, split_score
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_record
from dina_lrm.typed import DinaError, to_plain

INDEX: Final = "annotators.json"


@dataclass(frozen=True)
class PersonalModel:
    """Whose model it is: the number of an annotator in their store of votes, and the names that were given for them."""

    number: int
    names: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder of the run that trained it, within that of all."""
        return f"annotator-{self.number}"

    def __str__(self) -> str:
        """How one is listed."""
        return f"{self.number} ({', '.join(self.names)})" if self.names else str(self.number)


@dataclass(frozen=True)
class PersonalModels:
    """All models of a folder, by the numbers of their annotators."""

    annotators: tuple[PersonalModel, ...] = ()


def personal_models(folder: Path) -> PersonalModels:
    """The models in a folder, none where it holds no list of them. ValueError for a list that is damaged."""
    index = folder / INDEX
    return read_record(PersonalModels, index) if index.is_file() else PersonalModels()


def add_personal_model(folder: Path, number: int, name: str | None = None) -> PersonalModel:
    """List the model of an annotator, under one more name where one is given; others stay. What was there is told."""
    known = {one.number: one for one in personal_models(folder).annotators}
    before = known.get(number, PersonalModel(number))
    names = before.names if name is None else tuple(dict.fromkeys((*before.names, name)))
    known[number] = PersonalModel(number, names)
    listed = PersonalModels(tuple(known[each] for each in sorted(known)))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / INDEX, to_plain(listed))
    return known[number]


def personal_model(name: str, annotator: str | None) -> str:
    """The place of an annotator's model among those in the folder `name`, which may ask for a score (?score=NAME).

    `annotator` is a name that was given in training, or a number; None: `name` itself. Raises DinaError for a folder
    that holds no models of people, and for an annotator whose model it does not hold, with those that there are.
    """
    if annotator is None:
        return name
    place, score = split_score(name)
    folder = Path(place).expanduser()
    there = personal_models(folder).annotators
    if not there:
        raise DinaError(f"{name}: holds no models of annotators; accepted: a folder that train --annotator wrote")
    asked = called(annotator)
    by_name = [one for one in there if asked in map(called, one.names)]
    found = by_name or [one for one in there if asked == str(one.number)]
    if not found:
        raise DinaError(f"annotator {annotator!r:.80}: {name} has no model of theirs; accepted: {_listed(there)}")
    model = folder / found[0].folder / MODEL_OF_RUN
    if not model.is_dir():
        raise DinaError(
            f"annotator {annotator!r:.80}: {model} is not there; accepted: a run of training that has ended"
        )
    return str(model) if score is None else f"{model}?score={score}"


def called(name: str) -> str:
    """A name as two that mean the same are alike: without the case of letters, and with single spaces."""
    return " ".join(name.split()).casefold()


def _listed(there: tuple[PersonalModel, ...]) -> str:
    return ", ".join(map(str, there))
