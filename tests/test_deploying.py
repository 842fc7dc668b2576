"""What `examples/deploy` holds does what it says, as far as it can be tried without Docker and without systemd."""

import configparser
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from dina_lrm.cli.main import main
from dina_lrm.serving.settings import ServerSettings
from tests.documents import ROOT

FOLDER = ROOT / "examples" / "deploy"
TOKEN_IN_IMAGE = "/run/secrets/dina-lrm-token"
ADDRESS_IN_IMAGE = "http://127.0.0.1:8000"


def instructions():
    """The Dockerfile as (instruction, rest), lines that go on joined, comments left out."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def words_of(name):
    """The exec form of an instruction, the last one of its kind."""
    rest = [rest for instruction, rest in instructions() if instruction == name][-1]
    return json.loads(rest[rest.index("[") :])


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("a-token-of-many-letters\n")
    return file


def service():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(FOLDER / "dina-lrm.service")
    return parser["Service"]


def test_the_image_is_of_two_stages_and_its_last_user_is_not_root():
    kinds = [kind for kind, _ in instructions()]
    assert kinds.count("FROM") == 2 and all("slim" in rest for kind, rest in instructions() if kind == "FROM")
    assert [rest for kind, rest in instructions() if kind == "USER"] == ["10001"]
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")
    python = re.search(r"python:(\d+\.\d+)-slim", instructions()[0][1])[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert tuple(map(int, python.split("."))) >= tuple(
        map(int, project["requires-python"].removeprefix(">=").split("."))
    )
    extras = {extra for _, rest in instructions() for extra in re.findall(r"'\.\[(\w+)\]'", rest)}
    assert extras and extras <= project["optional-dependencies"].keys()


def test_what_the_image_is_built_of_is_there_and_reaches_the_builder():
    given = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line[1:] for line in given if line.startswith("!")]
    copied = [rest.split()[:-1] for kind, rest in instructions() if kind == "COPY" and "--from" not in rest]
    assert given[1] == "*"
    for name in (name.removeprefix("./") for names in copied for name in names):
        assert (ROOT / name).exists() and name in kept
    assert {*kept} == {name for names in copied for name in names}
    secret = [line for line in given if not line.startswith(("#", "!", "*"))]
    assert secret == [] and any(fnmatch("src/a/__pycache__", line.replace("**/", "*/")) for line in given)


@pytest.mark.slow
def test_the_images_command_serves_is_healthy_and_ends_well(token):
    here = {TOKEN_IN_IMAGE: str(token), "8000": "0", "dina-lrm": str(Path(sys.executable).with_name("dina-lrm"))}
    command = [here.get(word, word) for word in (*words_of("ENTRYPOINT"), *words_of("CMD"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            found = next(found for line in server.stdout if (found := re.search(r"ready at \S+:(\d+)", line)))
            _, option, check = words_of("HEALTHCHECK")
            check = check.replace(TOKEN_IN_IMAGE, str(token)).replace(ADDRESS_IN_IMAGE, f"http://127.0.0.1:{found[1]}")
            health = [sys.executable, option, check]
            assert subprocess.run(health, timeout=30).returncode == 0
            wrong = [sys.executable, option, check.replace("Bearer", "Basic")]
            assert subprocess.run(wrong, timeout=30, capture_output=True).returncode == 1
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert subprocess.run(health, timeout=30, capture_output=True).returncode == 1


def test_the_services_command_is_one_that_serve_reads(token, tmp_path, capsys):
    settings = tmp_path / "serve.yaml"
    assert main(["serve", "--print-config"]) == 0
    settings.write_text(capsys.readouterr().out)
    line = service()["ExecStart"].replace("${CREDENTIALS_DIRECTORY}", str(token.parent))
    words = shlex.split(line.replace("/etc/dina-lrm/serve.yaml", str(settings)))
    assert Path(words[0]).name == "dina-lrm"
    assert main([*words[1:], "--print-config"]) == 0
    assert f"token_file: {token}" in capsys.readouterr().out


def test_the_service_waits_longer_than_a_request_may_take():
    assert float(service()["TimeoutStopSec"]) > ServerSettings().longest_deadline + 10
    assert service()["KillMode"] == "mixed" and service()["Restart"] == "on-failure"
    for guard in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert service()[guard] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_service(tmp_path):
    unit = tmp_path / "dina-lrm.service"
    text = (FOLDER / "dina-lrm.service").read_text()
    unit.write_text(text.replace("/opt/dina-lrm/bin/dina-lrm", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_file_for_ray_is_one_that_ray_and_the_server_read(token):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.serve.schema import ServeDeploySchema

    from dina_lrm.serving.ray_serve import application

    told = yaml.safe_load((FOLDER / "ray-serve.yaml").read_text())
    (app,) = ServeDeploySchema(**told).applications
    assert app.import_path == f"{application.__module__}:{application.__name__}"
    assert application({**app.args, "token_file": str(token)}) is not None
    assert told["http_options"]["request_timeout_s"] > ServerSettings().longest_deadline
