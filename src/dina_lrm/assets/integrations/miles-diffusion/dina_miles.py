# --custom-rm-path dina_miles.score, with --group-rm or without
from dina_lrm.integrations.miles import reward

score = reward(model="synthetic", noise_level=0.4)  # a folder or a hub id
# on a server (dina-lrm serve --model dina=WHERE --port 8000):
# score = reward(model="remote:http://127.0.0.1:8000/dina")
