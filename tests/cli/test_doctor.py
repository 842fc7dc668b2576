import json

from dina_lrm import locate
from dina_lrm.cli.main import main


def test_an_incomplete_installation_fails_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    places = {"generator": tmp_path / "generator", "reward_model": tmp_path / "reward_model"}
    monkeypatch.setitem(locate.BUNDLED, "synthetic", places)
    places["generator"].mkdir()
    report = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(report)]) == 1
    out, err = capsys.readouterr()
    assert f"missing: {places['reward_model']}, {tmp_path / 'golden.json'}" in err
    assert "torch" in out
    written = json.loads(report.read_text())
    assert written["bundled"] is None and written["error"] in err and written["devices"][0]["device"] == "cpu"


def test_the_bundled_model_scores_right(tmp_path):
    report = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(report), "--quiet"]) == 0
    bundled = json.loads(report.read_text())["bundled"]
    assert len(bundled["scores"]) == 4 and bundled["largest_difference"] < 1e-3
