"""A slice of the malformed requests that `python -m benchmarks serving_fuzz` sends by the thousand, and the judge."""

import ast
import json
import pickle
import random
from pathlib import Path

import pytest

import dina_lrm.serving
from benchmarks.serving_fuzz import faults_at_end, run, serving, table
from benchmarks.serving_fuzzing import cases, pickles, pictures, texts
from benchmarks.serving_fuzzing.judging import documented, faults_of
from benchmarks.serving_fuzzing.requests import Case
from benchmarks.serving_fuzzing.sending import Answer

SEED = 11
LONG = ("crowd", "slow")
JSON = {"content-type": "application/json"}
OCTETS = {"content-type": "application/octet-stream"}
CODES = {400: frozenset(["bad_blob"]), 503: frozenset(["draining"]), 500: frozenset(["failed"])}


@pytest.mark.slow
def test_malformed_requests_are_answered_by_the_law():
    order = cases.order()
    numbers = [number for number in range(150) if order[number % len(order)] not in LONG]
    with serving() as (server, log):
        ended, standings = run(server, numbers, SEED, by_schema=60)
        said = log.read_text(errors="replace")
    assert [(one.kind, one.number, one.told, one.faults) for one in ended if one.faults] == []
    assert faults_at_end(standings[-1:], said) == []
    assert len(ended) == len(numbers)
    assert len(table(ended).splitlines()) == len({one.kind for one in ended}) + 1


def body(code="bad_blob", message="a blob of 3 bytes"):
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(400, JSON, body(), 0.1), None),
        (Answer(503, JSON, body("draining"), 0.1), None),
        (Answer(500, JSON, body("failed"), 0.1), "status 500"),
        (Answer(200, JSON, b"{}", 0.1), "status 200"),
        (Answer(400, JSON, body("other"), 0.1), "400 'other' is not documented"),
        (Answer(400, JSON, body(message="Traceback (most recent"), 0.1), "it tells 'Traceback'"),
        (Answer(400, JSON, body(message="<io at 0x7f00deadbeef>"), 0.1), "it tells '0x"),
        (Answer(400, JSON, body(message="a" * 5_000), 0.1), "a message of 5000"),
        (Answer(400, JSON, b'{"detail": "no"}', 0.1), "the body of 400 is not typed"),
        (Answer(400, {"content-type": "text/plain"}, b"no", 0.1), "the body of 400 is not typed"),
        (Answer(400, JSON, body(), 31.0), "it took 31.0 s"),
        (Answer(None, {}, b"", 9.0, "hangs"), "it took 9.0 s"),
        (Answer(None, {}, b"", 0.1, "closed"), "no answer"),
    ],
)
def test_the_judge_sees_every_fault(answer, fault):
    found = faults_of(Case("", (), path="/v1/score"), answer, CODES, 30.0)
    assert found == [] if fault is None else any(one.startswith(fault) for one in found)


def test_the_judge_reads_pickles_where_clients_do_and_numbers_that_are_none():
    case = Case("", (), path="/v1/pickle/dina", refused=False)
    plain = pickle.dumps({"error": "bad_blob: no"}, 2)
    assert faults_of(case, Answer(400, OCTETS, plain, 0.1), CODES, 30.0) == []
    for wrong in (body(), pickle.dumps({"error": print}, 2)):
        assert "not typed" in faults_of(case, Answer(400, OCTETS, wrong, 0.1), CODES, 30.0)[0]
    case = Case("", (), path="/compute", refused=False)
    assert faults_of(case, Answer(200, JSON, b'{"rewards": [0.5]}', 0.1), CODES, 30.0) == []
    told = Answer(200, JSON, b'{"error": "bad_blob: no"}', 0.1)
    assert faults_of(Case("", (), path="/compute"), told, CODES, 30.0) == []
    told = Answer(200, JSON, b'{"error": "KeyError: no"}', 0.1)
    assert faults_of(Case("", (), path="/compute"), told, CODES, 30.0) == ["'KeyError' is not documented"]
    assert faults_of(case, Answer(200, JSON, b'{"rewards": [[NaN]]}', 0.1), CODES, 30.0) == [
        "a number that is not finite"
    ]


def test_every_code_of_an_error_is_documented():
    found = set()
    for path in Path(dina_lrm.serving.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"Problem": 1, "bad_request": 0, "unprocessable": 0}.get(node.func.id)
                if place is not None and isinstance(code := node.args[place], ast.Constant):
                    found.add(code.value)
    known = set().union(*documented().values())
    assert found - known == set()
    assert {"bad_blob", "store_full", "unknown_prompts"} <= found


def test_a_case_follows_from_its_seed():

    for make in (texts.values, texts.syntax, pickles.strange, pickles.opcode, pictures.multipart):
        assert make(None, random.Random(7)) == make(None, random.Random(7))
