"""HTML pages from Jinja templates that lie next to the module that fills them; every value is escaped."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, Template


def page_template(package: str, name: str, **filters: Callable[..., Any]) -> Template:
    """Return the template `name` in a package, e.g. `finetune.check`; `filters` are added to Jinja's own."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(filters)
    return environment.from_string(files(package).joinpath(name).read_text(encoding="utf-8"))
