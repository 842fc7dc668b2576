"""What an annotator's votes say of the annotator: how noisy they are, which side they lean to, how often they lapse.

| noun | place |
|---|---|
| the likelihood of an answer, by margin | `likelihood.py` |
| the fit of several annotators at once | `fit.py` |
| what their votes weigh by it, and a store's votes as what is fitted | `of_store.py` |
"""
