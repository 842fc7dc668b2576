"""Label Studio's JSON: a task a pair and order of sides, its `Pairwise` answers as annotations.

The tag says left or right as shown, and knows no tie: `Choices` beside it do (`tie`, `both_bad`). A task with a
`ground_truth` annotation is a control. Cancelled annotations are skips, and empty ones no answer: neither is a vote.
`flipped` says whether b stood on the left.

    <View><Text name="prompt" value="$prompt"/>
    <Image name="left" value="$image_left"/><Image name="right" value="$image_right"/>
    <Pairwise name="pick" toName="left,right"/>
    <Choices name="tie" toName="left"><Choice value="tie"/><Choice value="both_bad"/></Choices></View>
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from dina_lrm.collecting.exchange.files import PictureFiles, picture_path, text_of
from dina_lrm.collecting.exchange.given import GivenVote, LeftOut
from dina_lrm.data.votes.records import Pair, Vote
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError


def read(path: Path, images: Path | None = None) -> Iterator[GivenVote | LeftOut]:
    """The annotations of a file of tasks; pictures lie relative to it, or to `images`.

    Raises DinaError for a file that holds no list of tasks.
    """
    tasks = parse_json(path.read_bytes(), str(path))
    if not isinstance(tasks, list):
        raise DinaError(f"{path}: holds a {type(tasks).__name__}; accepted: a list of tasks, as Label Studio's JSON")
    for number, task in enumerate(tasks, 1):
        where = f"{path}, task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DinaError(f"{where}: holds no data; accepted: a task with prompt, image_left and image_right")
        yield from _of_task(task, where, images or path.parent)


def write(store: VoteStore, question: str, path: Path) -> int:
    """Write all pairs with the votes on a question; returns how many votes were written."""
    files, pairs = PictureFiles(store, path), store.pairs()
    votes: dict[tuple[str, str], list[Vote]] = {}
    for vote in store.votes():
        if vote.question == question:
            votes.setdefault((vote.pair, vote.left), []).append(vote)
    tasks: list[dict[str, Any]] = []
    for pair in pairs:
        sides = [side for side in ("a", "b") if (pair.id, side) in votes] or ["a"]
        for side in sides:
            tasks.append(_task(pair, side, votes.get((pair.id, side), []), files, len(tasks) + 1))
    write_json(path, tasks)
    return sum(map(len, votes.values()))


def _of_task(task: dict[str, Any], where: str, folder: Path) -> Iterator[GivenVote | LeftOut]:
    data = task["data"]
    prompt = text_of(data, "prompt", where)
    pictures = [picture_path(data.get(name), folder) for name in ("image_left", "image_right")]
    annotations = [one for one in task.get("annotations") or [] if isinstance(one, dict)]
    truth = next((_said(one) for one in annotations if one.get("ground_truth") is True), None)
    better: Literal["first", "second"] | None = truth if truth in ("first", "second") else None
    for one in annotations:
        said = _said(one)
        if one.get("ground_truth") is True:
            yield LeftOut("known answers of controls")
        elif one.get("was_cancelled") is True:
            yield LeftOut("cancelled")
        elif said is None:
            yield LeftOut("without an answer")
        elif pictures[0] is None or pictures[1] is None:
            yield LeftOut("with a picture that is an address or no text")
        else:
            key = f"{data.get('pair_id')}:{task.get('id')}:{one.get('id')}"
            person = f"label-studio {_person(one)}"
            yield GivenVote(prompt, pictures[0], pictures[1], said, person, key, _ms(one), _at(one), better)


def _said(annotation: dict[str, Any]) -> Literal["first", "second", "tie", "both_bad"] | None:
    """What an annotation answers; None where nothing that decides is in it."""
    for result in annotation.get("result") or []:
        value = result.get("value", {}) if isinstance(result, dict) else {}
        choices = value.get("choices") or []
        if "tie" in choices:
            return "tie"
        if "both_bad" in choices:
            return "both_bad"
    for result in annotation.get("result") or []:
        value = result.get("value", {}) if isinstance(result, dict) else {}
        if value.get("selected") in ("left", "right"):
            return "first" if value["selected"] == "left" else "second"
    return None


def _person(annotation: dict[str, Any]) -> str:
    """A number that tells one from another; names and addresses are left where they are."""
    by = annotation.get("completed_by")
    return str(by.get("id")) if isinstance(by, dict) else str(by)


def _ms(annotation: dict[str, Any]) -> int | None:
    seconds = annotation.get("lead_time")
    return round(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 2**40 else None


def _at(annotation: dict[str, Any]) -> float | None:
    given = annotation.get("created_at")
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None
    return None if found is None else (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _task(pair: Pair, left: str, votes: list[Vote], files: PictureFiles, number: int) -> dict[str, Any]:
    shown = (pair.image_a, pair.image_b) if left == "a" else (pair.image_b, pair.image_a)
    names = dict(zip(("image_left", "image_right"), map(files.name, shown), strict=True))
    data = {"prompt": pair.prompt, **names, "pair_id": pair.id, "kind": pair.kind, "flipped": left == "b"}
    annotations = [_annotation(vote, left) for vote in votes]
    if pair.truth is not None:
        annotations.append({"id": f"truth {number}", "ground_truth": True, "result": _result(pair.truth, left)})
    return {"id": number, "data": data, "annotations": annotations}


def _annotation(vote: Vote, left: str) -> dict[str, Any]:
    return {
        "id": vote.id,
        "completed_by": vote.annotator,
        "was_cancelled": vote.answer == "skip",
        "ground_truth": False,
        "lead_time": None if vote.ms is None else vote.ms / 1000,
        "created_at": datetime.fromtimestamp(vote.at, UTC).isoformat(),
        "result": _result(vote.answer, left),
    }


def _result(answer: str, left: str) -> list[dict[str, Any]]:
    if answer in ("tie", "both_bad"):
        return [{"type": "choices", "from_name": "tie", "to_name": "left", "value": {"choices": [answer]}}]
    if answer == "skip":
        return []
    selected = "left" if answer == left else "right"
    return [{"type": "pairwise", "from_name": "pick", "to_name": "left", "value": {"selected": selected}}]
