"""`finetune serve`: a page and an HTTP API on this machine. FastAPI is imported in this package only."""
