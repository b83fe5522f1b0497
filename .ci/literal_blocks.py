"""Takes the ``::`` before a literal block out of docstrings, which the site shows as Markdown."""

import re

from griffe import Extension, Object


class LiteralBlocks(Extension):
    """Docstrings are written for a terminal, where a block of code follows ``::``."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^(\s*)::$", "", obj.docstring.value, flags=re.MULTILINE)
