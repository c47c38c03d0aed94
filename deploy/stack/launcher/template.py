"""Fills in a server's configuration: every @NAME@ of a template must be known, and none may be left."""

import re

from launcher.cache import CONF


def fill(names, values):
    """The templates `names` one after another, with `values` in them."""
    text = "".join((CONF / name).read_text() for name in names)
    return re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1]]), text)
