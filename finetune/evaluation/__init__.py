"""How good a model is: figures, plots and the report of a run."""
