# config/dina.py of flow_grpo:  --config config/dina.py:pickscore_sd3
import importlib.util
import os

from dina_lrm.integrations.flow_grpo import install

spec = importlib.util.spec_from_file_location("grpo", os.path.join(os.path.dirname(__file__), "grpo.py"))
grpo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grpo)
install(model="synthetic", noise_level=0.4)  # a folder or a hub id
# install(model="remote:http://127.0.0.1:8000/dina")    # on a server: dina-lrm serve --model dina=WHERE --port 8000


def get_config(name):
    config = grpo.get_config(name)
    config.reward_fn = {"dina": 1.0, "pickscore": 0.2}
    return config
