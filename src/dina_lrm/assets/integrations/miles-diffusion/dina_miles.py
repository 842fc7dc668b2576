# where Python finds it:  --custom-rm-path dina_miles.score, with --group-rm or without
from dina_lrm.integrations.miles import reward

score = reward(
    model="synthetic",  # a folder or a hub id
    # model="remote:http://127.0.0.1:8000/dina",    on a server: dina-lrm serve --model dina=WHERE --port 8000
    noise_level=0.4,
)
