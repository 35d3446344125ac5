"""HTML pages from Jinja templates that are in the package that fills them; every value is escaped.

They extend `page.html.j2`, which holds the style of all pages, so that each page is a single file.
"""

from collections.abc import Callable
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, Template


def page_template(package: str, name: str, **filters: Callable[..., Any]) -> Template:
    """Return the template `name` in a package, e.g. `finetune.check`; `filters` are added to Jinja's own."""
    loader = ChoiceLoader([PackageLoader(package, ""), PackageLoader("finetune.system", "")])
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(filters)
    return environment.get_template(name)
