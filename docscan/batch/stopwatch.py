"""What each stage of a page takes, without the pipeline knowing that it is timed."""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any, ParamSpec, TypeVar, cast

from docscan.stages.classify import DigitModel

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, in seconds."""

    wall: float = 0.0
    cpu: float = 0.0
    """Of all the process's threads."""

    @classmethod
    def so_far(cls) -> "Cost":
        """To subtract from a later one."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


@dataclass(slots=True)
class Stopwatch:
    """Adds up what named steps take; what a step inside another takes counts for the inner one alone."""

    costs: dict[str, Cost] = field(default_factory=dict)
    """In the order in which the steps first ended."""
    _inside: Cost = Cost()
    """What the steps within the one going on have taken."""

    @property
    def seconds(self) -> dict[str, float]:
        """The wall time of each step."""
        return {name: cost.wall for name, cost in self.costs.items()}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block, however it ends."""
        beside, self._inside = self._inside, Cost()
        started = Cost.so_far()
        try:
            yield
        finally:
            took = Cost.so_far() - started
            self.costs[name] = self.costs.get(name, Cost()) + took - self._inside
            self._inside = beside + took

    def timed(self, name: str, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """`function`, each call of it a step."""

        def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
            with self.step(name):
                return function(*arguments, **options)

        return call

    def stages_timed(self, method: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """A copy of `method`, a module's function, in which each stage it calls is a step of the stage's name.

        The module stays as it is: the copy has names of its own, and calls copies of itself and of the module's other
        functions where `method` calls those.
        """
        original = cast(FunctionType, method)
        names = dict(original.__globals__)
        for name, stage in original.__globals__.items():
            if inspect.isfunction(stage) and stage.__module__.startswith("docscan.stages."):
                names[name] = self.timed(name, stage)
            elif inspect.isfunction(stage) and stage.__module__ == original.__module__:
                names[name] = _with_names(stage, names)
        copy = names[original.__name__] = _with_names(original, names)
        return cast(Callable[Parameters, Result], copy)

    def model_timed(self, model: DigitModel) -> DigitModel:
        """The same model, what its networks take as the steps `classify` and `read_strings`."""
        strings = replace(model.strings, session=cast(Any, _TimedSession(model.strings.session, self, "read_strings")))
        return replace(model, session=cast(Any, _TimedSession(model.session, self, "classify")), strings=strings)


def _with_names(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """A copy of a module's function that looks its names up elsewhere."""
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@dataclass(frozen=True, slots=True)
class _TimedSession:
    """An ONNX Runtime session on the watch."""

    session: Any
    watch: Stopwatch
    step: str

    def run(self, outputs: Any, inputs: Any) -> Any:
        with self.watch.step(self.step):
            return self.session.run(outputs, inputs)
