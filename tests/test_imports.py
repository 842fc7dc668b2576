import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import dina_lrm

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dina_lrm"
# What `dina-lrm integrate` shows is written for other programs
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "assets" not in path.relative_to(SOURCE).parts)


def test_import_pulls_nothing_heavy():
    code = "import sys, dina_lrm; print(*sorted({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_model_of_rewards_loads_no_library_of_generators():
    code = "import sys, dina_lrm; dina_lrm.LatentRewardModel; print(*{'diffusers', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


WITHOUT_A_GENERATOR = (
    "annotate", "annotate_agreement", "annotate_exchange", "cache", "cache_add", "calibrate", "compare", "convert",
    "data_check", "data_filter", "doctor", "evaluate", "prepare", "push", "rank", "score",
)  # fmt: skip
"""Commands that import no library before they need it; those left out train, sample or draw plots."""
LATER = {
    "datasets", "diffusers", "matplotlib", "pandas", "peft", "scipy.stats", "sklearn", "tensorboard",
    "transformers", "uvicorn",
}  # fmt: skip


def test_commands_import_what_they_need():
    code = f"import sys; {';'.join(f'import dina_lrm.cli.{name}' for name in WITHOUT_A_GENERATOR)}; "
    code += f"print(*{LATER} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_scoring_imports_no_plots_and_no_tables(tmp_path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    words = ["score", "--images", "red.png", "--prompts", "a red cube", "--model", "synthetic", "--out", "s.csv"]
    code = f"import sys; from dina_lrm.cli.main import main; print(main({words}))"
    unused = {"matplotlib", "pandas", "datasets", "sklearn", "tensorboard", "torch.utils.tensorboard", "uvicorn"}
    code += f"; print(*{unused} & set(sys.modules), __import__('gc').isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-2:] == ["0", "True"]


@pytest.mark.parametrize("name", dina_lrm.__all__)
def test_every_public_name_resolves(name):
    assert getattr(dina_lrm, name) is not None
    assert name in dir(dina_lrm)


def test_an_unknown_name_is_an_attribute_error_that_lists_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'Rewardmodel'; it offers .*LatentRewardModel"):
        _ = dina_lrm.Rewardmodel


def test_what_type_checkers_see_is_what_is_loaded():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    imports = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dina_lrm")
    ]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen == dina_lrm._HOMES
    assert set(dina_lrm.__all__) == {*seen, "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_imports_by_itself(path):
    if path.name in ("on_ray.py", "ray_pool.py", "ray_serve.py", "ray_session.py", "worker.py"):
        pytest.importorskip("ray", reason="the extra ray is not installed")
    if path.parent == SOURCE / "studio" / "pages" or path == SOURCE / "studio" / "server.py":
        pytest.importorskip("gradio", reason="the extra studio is not installed")
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def test_few_imports_stand_inside_functions():
    inside = {
        (path, node.lineno)
        for path in MODULES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert len(inside) <= 63, "import at the top of the file; a command is imported only when it runs"
