"""Fills in the templates of the server configuration. An unknown @NAME@ is an error."""

import re

from launcher.cache import CONF


def fill(names, values):
    """Returns the concatenated templates `names`, filled in with `values`."""
    text = "".join((CONF / name).read_text() for name in names)
    return re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1]]), text)
