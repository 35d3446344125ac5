"""How good a model is: metrics, plots and the report of a run."""
