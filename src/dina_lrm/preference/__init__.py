"""Preference learning on noisy states: P(a preferred), its loss, and the noise levels that are trained on.

| noun | place |
|---|---|
| `PreferenceModel`: P from a score margin and a noise scale | `likelihood.py`, table `PREFERENCE_MODELS` |
| fidelity loss and NLL | `loss.py`, table `LOSSES` |
| the distribution q(t) of noise levels | `distributions.py`, table `LEVEL_DISTRIBUTIONS`; `noise_levels.py` draws |
| how often P is right: bins of confidence, ECE and its floor | `reliability.py` |
| named combinations: the paper's, the released code's, ablations | `presets.py`, table `PRESETS` |
"""
