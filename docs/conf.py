"""Build the documentation with Sphinx."""

import importlib
import inspect
from collections.abc import Iterator
from importlib.metadata import version as installed
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from fastgpt_client import _errors

project = "fastgpt_client"
copyright = "fastgpt_client contributors"  # noqa: A001 - Sphinx's name for it
version = release = installed("fastgpt-client")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "fastgpt_client"

myst_heading_anchors = 3
# Without it a heading would name the module that a name lives in, not the one to import it from.
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}

# The errors name the package as their module, for tracebacks; autodoc reads the comments on their
# attributes where they are written.
for error in map(vars(_errors).get, _errors.__all__):
    error.__module__ = _errors.__name__

#: The modules whose names people import.
PUBLIC = [
    "fastgpt_client",
    "fastgpt_client.asgi",
    "fastgpt_client.consumers",
    "fastgpt_client.endpoints",
    "fastgpt_client.testing",
]


def public_names() -> Iterator[tuple[str, list[str]]]:
    """Give each public name, methods and properties included, with the names it may stand under."""
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                continue
            homes = [module_name, getattr(thing, "__module__", module_name), *PUBLIC]
            yield f"{module_name}.{name}", [f"{home}.{name}" for home in homes]
            if not inspect.isclass(thing):
                continue
            ours = [base for base in thing.__mro__ if base.__module__.startswith(project)]
            for member in sorted({name for base in ours for name in vars(base)}):
                value = inspect.getattr_static(thing, member)
                kinds = (property, classmethod, staticmethod)
                if not member.startswith("_") and (
                    inspect.isfunction(value) or isinstance(value, kinds)
                ):
                    at = [
                        f"{place}.{base.__name__}.{member}"
                        for base in ours
                        for place in (*homes, base.__module__)
                    ]
                    yield f"{module_name}.{name}.{member}", at


def every_public_name_is_there(app: Sphinx, env: Any) -> None:
    """Warn of what the reference lacks; warnings are errors."""
    described = env.domaindata["py"]["objects"]
    for name, places in public_names():
        if not any(place in described for place in places):
            logging.getLogger(__name__).warning("the reference lacks %s", name)


def setup(app: Sphinx) -> None:
    """Add the check of the reference."""
    app.connect("env-check-consistency", every_public_name_is_there)
