"""Objectives whose loss of a sample needs the errors of its whole group: `crd*` and `dgpo*`, each settings and loss."""
