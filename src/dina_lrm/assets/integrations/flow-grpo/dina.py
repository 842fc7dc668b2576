# config/dina.py of flow_grpo:  --config config/dina.py:pickscore_sd3
import runpy
from pathlib import Path

from dina_lrm.integrations.flow_grpo import install

grpo = runpy.run_path(str(Path(__file__).with_name("grpo.py")))
install(model="synthetic", noise_level=0.4)  # a folder or a hub id
# on a server (dina-lrm serve --model dina=WHERE --port 8000):
# install(model="remote:http://127.0.0.1:8000/dina", noise_level=0.4)


def get_config(name):
    config = grpo["get_config"](name)
    config.reward_fn = {"dina": 1.0, "pickscore": 0.2}
    return config
