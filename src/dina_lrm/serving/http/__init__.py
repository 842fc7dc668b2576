"""HTTP without models: who may ask, and what the documents of the routes show."""
