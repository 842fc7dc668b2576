"""Pictures of a folder from best to worst, as a page and as a folder of links.

| noun | place |
|---|---|
| what is ranked, by what, and where the page goes | `settings.py` |
| scoring, ordering and writing | `job.py` |
| links to the pictures, numbered in order | `links.py` |

The order itself is `rewards/scoring/ranking.py`, the page `reports/ranked/`.
"""
