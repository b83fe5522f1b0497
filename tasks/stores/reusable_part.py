"""A part that is used again: what decides its bytes is digested first, and a version of that digest is found.

::

    inputs digest -> a version that carries it?  yes: its run is closed where its step was killed too soon
                                                 no:  a run is opened, the part made and registered
                                                 lost, or its evidence, or the home's record of them: made
                                                 again in its own run and place
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.runs import INPUTS, StepKey, StepRun
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class ReusablePart:
    """The version of ``name`` that a step makes from ``inputs``, for one task or for all.

    ``tags`` say what the inputs are.
    """

    workspace: Workspace
    step: str
    task: str | None
    name: str
    inputs: str
    tags: Mapping[str, str]

    @cached_property
    def registry(self) -> Registry:
        """Where it is, or will be, registered."""
        return self.workspace.store.registry

    def find(self) -> Part | None:
        """Return the version, if there is one and nothing of it is lost."""
        part = self._registered
        if part is None or not self.registry.is_whole(part):
            return None
        self.workspace.store.runs.finish(self.registry.run_id(part))
        return part

    def make(self, fit: Callable[[StepRun, Mapping[str, str]], Part], *, parent_run: str | None) -> Part:
        """Open the step's run and let ``fit`` make and register the version with the tags it is given."""
        key = StepKey(self.workspace.surface, self.step, self.inputs, self.task)
        again = self.registry.find_lost_run(self.name, {INPUTS: self.inputs})
        with self.workspace.store.runs.step(
            key, parent_run=parent_run, tags=self.tags, again=again
        ) as opened:
            return fit(opened, {**self.tags, INPUTS: self.inputs})

    @property
    def _registered(self) -> Part | None:
        """The version that carries the digest, whole or not."""
        return self.registry.find(self.name, {INPUTS: self.inputs})
