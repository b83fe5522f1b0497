"""Work that is killed without warning."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def killed_in(owner: type, name: str, *, where: Callable[..., bool] | None = None) -> Iterator[None]:
    """Kill the block in its first call of a method that ``where`` selects; fail if there is none."""
    own = getattr(owner, name)

    def die(*given: Any, **how: Any) -> Any:
        if where is None or where(*given, **how):
            raise KeyboardInterrupt
        return own(*given, **how)

    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(owner, name, die)
        with pytest.raises(KeyboardInterrupt):
            yield
