"""Facts made into something to read: the 22 steps, and the reason of a failure."""

from handclasp.explain.steps import STEPS, Step, StepTrace
from handclasp.explain.verdict import Explanation, explain

__all__ = ["STEPS", "Explanation", "Step", "StepTrace", "explain"]
