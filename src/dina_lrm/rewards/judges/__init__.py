"""Published judges of pictures, each as its authors run it.

| noun | place |
|---|---|
| CLIP and PickScore | `clip.py` |
| HPSv2, HPSv3, MPS | `hpsv2.py`, `hpsv3.py`, `mps.py` |
| ImageReward, LAION's aesthetic predictor | `blip.py`, `aesthetic.py` |
| models that are asked for a score in words | `vlm.py` |
| pictures and prompts as the authors prepare them | `pictures.py`, `processor_file.py`, `clip_text.py` |
| their weights' files, and small parts of networks | `state_files.py`, `score_mlp.py`, `mps_cross.py` |
"""
