"""Settings of a server that could not run, or that would leave the door open, are refused before anything is loaded."""

import pytest

from dina_lrm.cli.main import main
from dina_lrm.serving.settings import ServerSettings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "without a token"),
        (["--port", "70000"], "--port 70000"),
        (["--model", "a=x", "a=y"], "called 'a'"),
        (["--model", "a/b=x"], "NAME=WHERE"),
        (["--model"], "no models"),
        (["--max-batch-size", "0"], "--max-batch-size 0"),
        (["--max-wait-ms", "nan"], "max-wait-ms"),
        (["--pickle-port", "70000"], "--pickle-port 70000"),
        (["--port", "8000", "--pickle-port", "8000"], "another port"),
        (["--pickle-port", "8001", "--replicas", "2"], "without replicas"),
        (["--model-limits", "other.batch=2"], "--model-limits 'other.batch=2'"),
        (["--model-limits", "dina.pixels=2"], "max_batch_size"),
        (["--model-limits", "dina.batch=2.5"], "a whole number"),
        (["--model-limits", "dina.deadline=0"], "deadline"),
        (["--model-limits", "dina.max_batch_size=0"], "at least 1"),
        (["--tls-cert", "x.pem"], "go together"),
        (["--tls-cert", "x.pem", "--tls-key", "x.key"], "--tls-cert x.pem, --tls-key x.key"),
        (["--token-file", "none"], "--token-file none"),
        (["--limits.batch", "0"], "batch"),
    ],
)
def test_what_could_not_run_is_refused(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("token", ["", "short", "with spaces in the middle of it"])
def test_a_token_is_long_and_plain(token, tmp_path):
    (tmp_path / "token").write_text(token)
    with pytest.raises(ValueError, match="accepted"):
        ServerSettings(token_file=tmp_path / "token").check()


def test_names_of_models(tmp_path):
    (tmp_path / "token").write_text("a-token-of-many-letters\n")
    settings = ServerSettings(("runs/first", "b=clip"), host="0.0.0.0", token_file=tmp_path / "token")
    settings.check()
    assert settings.named() == {"dina": "runs/first", "b": "clip"}
    assert settings.token() == "a-token-of-many-letters"


def test_settings_stand_in_a_file_and_options_win(capsys, tmp_path):
    file = tmp_path / "serve.yaml"
    assert main(["serve", "--port", "9000", "--limits.batch", "3", "--print-config"]) == 0
    file.write_text(capsys.readouterr().out)
    assert main(["serve", "--config", str(file), "--port", "9001", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert printed == file.read_text().replace("9000", "9001")
    assert "  batch: 3\n" in printed
    file.write_text("prt: 3\n")
    assert main(["serve", "--config", str(file)]) == 2
    assert "did you mean 'port'" in capsys.readouterr().err


def test_the_flags_of_the_released_server_mean_the_same(capsys):
    words = "--model-path runs/mine --base-model-path sd3.5 --dtype float32 --max-batch-size 8 --max-wait-ms 10"
    assert main(["serve", *words.split(), "--port", "8000", "--print-config"]) == 0
    aliased = capsys.readouterr().out
    assert main(["serve", "--model", "runs/mine", "--backbone", "sd3.5", "--dtype", "float32", "--print-config"]) == 0
    assert capsys.readouterr().out == aliased
    assert "model: [runs/mine]" in aliased


def test_a_file_holds_every_option(capsys, tmp_path):
    file = tmp_path / "serve.yaml"
    words = "--model a=synthetic b=clip --no-text-encoders --device cpu --dtype bfloat16 --pickle-port 0 --backbone sd"
    words += " --model-limits b.max_batch_size=2 --limits.deadline 20 --strict --max-wait-ms 5"
    assert main(["serve", *words.split(), "--print-config"]) == 0
    file.write_text(capsys.readouterr().out)
    assert main(["serve", "--config", str(file), "--print-config"]) == 0
    assert capsys.readouterr().out == file.read_text()
    for line in ("device: cpu", "dtype: bfloat16", "text_encoders: false", "pickle_port: 0", "strict: true"):
        assert f"{line}\n" in file.read_text()
