"""report.html: what a run did, on one page that asks nothing of the network."""

from finetune.report.render import render_report, report, with_thumbnails

__all__ = ["render_report", "report", "with_thumbnails"]
