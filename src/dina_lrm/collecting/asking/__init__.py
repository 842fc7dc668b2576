"""People are asked: pairs are handed out, shown on a page in a browser, and answered into the store.

| noun | place |
|---|---|
| what people may be asked of two pictures | `questions.py` |
| pictures as they are shown | `shown.py` |
| pairs that come into the store as they are needed | `filling.py` |
| which pair a person is asked next | `asks.py` |
| a model that learns while people vote; what it thinks of pairs and of other pictures | `learning.py`, `opinions.py` |
| what the page sends, checked | `answers.py` |
| a collection: store, pairs, people, in one place for the routes | `collection.py` |
| routes, and the HTTP around them | `app.py` |
| the page itself | `reports/voting/` |
| the same page as one file, without a server | `alone.py` |
| a program that votes as the page does | `visitor.py` |
| the job, from settings to the last answer | `job.py` |
"""
