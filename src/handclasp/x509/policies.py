"""Certificate policies: which ones a path is valid under (RFC 5280, 6.1, as RFC 9618 made it safe).

The valid policies form a graph with one node for each policy at each depth, so mappings that a
hostile chain piles up cost no more than the certificates that carry them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509

from handclasp.values import check_fields
from handclasp.x509.certificate import Certificate

__all__ = ["ANY_POLICIES", "ANY_POLICY", "PolicyInputs", "PolicyOutcome", "process_policies"]

ANY_POLICY = "2.5.29.32.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInputs:
    """What the caller wants of policies (RFC 5280, 6.1.1); OIDs in dotted form."""

    initial_policies: frozenset[str] = frozenset({ANY_POLICY})
    inhibit_mapping: bool = False
    require_explicit: bool = False
    inhibit_any: bool = False

    def __post_init__(self) -> None:
        check_fields(self, where="policies.")


ANY_POLICIES = PolicyInputs()
"""Any policy will do, and none is required."""


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What processing found: the user-constrained policies, or why the path is refused."""

    policies: frozenset[str]
    refused: str | None = None


@dataclass(slots=True, eq=False)
class _Node:
    policy: str
    expected: set[str]
    parents: list[_Node] = field(default_factory=list)
    children: int = 0


class _State:
    """The variables of RFC 5280, 6.1.2."""

    def __init__(self, inputs: PolicyInputs, length: int, count: Callable[[int], None]) -> None:
        self.count = count
        self.graph: list[dict[str, _Node]] | None = [{ANY_POLICY: _Node(ANY_POLICY, {ANY_POLICY})}]
        self.explicit = 0 if inputs.require_explicit else length + 1
        self.mapping = 0 if inputs.inhibit_mapping else length + 1
        self.any = 0 if inputs.inhibit_any else length + 1


def process_policies(
    path: tuple[Certificate, ...], inputs: PolicyInputs, count: Callable[[int], None] = lambda _: None
) -> PolicyOutcome:
    """Judge a path, leaf first and its anchor last; the anchor itself has no say. `count` counts the work."""
    certificates = path[-2::-1] if len(path) > 1 else ()
    state = _State(inputs, len(certificates), count)
    for index, one in enumerate(certificates):
        last = index == len(certificates) - 1
        _take_policies(state, one, last)
        if state.explicit <= 0 and state.graph is None:
            return PolicyOutcome(frozenset(), f"no policy is valid at {one.subject_text}, and one is required")
        if not last:
            wrong = _prepare(state, one)
            if wrong is not None:
                return PolicyOutcome(frozenset(), wrong)
    if certificates:
        state.explicit = max(0, state.explicit - 1)
        constraints = certificates[-1].extension(x509.PolicyConstraints)
        if constraints is not None and constraints.require_explicit_policy == 0:
            state.explicit = 0
    policies = _constrained(state, inputs)
    if state.explicit <= 0 and not policies:
        return PolicyOutcome(policies, "no policy that is wanted is valid for the whole path, and one is required")
    return PolicyOutcome(policies)


def _take_policies(state: _State, one: Certificate, last: bool) -> None:
    """RFC 5280, 6.1.3 (d) and (e)."""
    extension = one.extension(x509.CertificatePolicies)
    if extension is None:
        state.graph = None
        return
    if state.graph is None:
        return
    state.count(len(extension))
    above: dict[str, _Node] = state.graph[-1]
    level: dict[str, _Node] = {}
    expecting: dict[str, list[_Node]] = {}
    for node in above.values():
        for policy in node.expected:
            expecting.setdefault(policy, []).append(node)
    any_policy = [above[ANY_POLICY]] if ANY_POLICY in above else []
    named = {policy.policy_identifier.dotted_string for policy in extension}
    for policy in named - {ANY_POLICY}:
        parents = expecting.get(policy, any_policy)
        if parents:
            level[policy] = _child(policy, parents)
    if ANY_POLICY in named and (state.any > 0 or (not last and one.is_self_issued)):
        for policy, parents in expecting.items():
            if policy not in level:
                level[policy] = _child(policy, parents)
    state.graph.append(level)
    _prune(state)


def _child(policy: str, parents: list[_Node]) -> _Node:
    for parent in parents:
        parent.children += 1
    return _Node(policy, {policy}, parents)


def _prune(state: _State) -> None:
    """Drop nodes without children above the last level; an empty last level leaves no graph."""
    graph = state.graph
    if graph is None:
        return
    for depth in range(len(graph) - 2, -1, -1):
        for policy, node in list(graph[depth].items()):
            if not node.children:
                del graph[depth][policy]
                for parent in node.parents:
                    parent.children -= 1
    if not graph[-1]:
        state.graph = None


def _prepare(state: _State, one: Certificate) -> str | None:
    """RFC 5280, 6.1.4 (a), (b), (h), (i) and (j)."""
    wrong = _map(state, one)
    if wrong is not None:
        return wrong
    if not one.is_self_issued:
        state.explicit = max(0, state.explicit - 1)
        state.mapping = max(0, state.mapping - 1)
        state.any = max(0, state.any - 1)
    constraints = one.extension(x509.PolicyConstraints)
    if constraints is not None:
        if constraints.require_explicit_policy is not None:
            state.explicit = min(state.explicit, constraints.require_explicit_policy)
        if constraints.inhibit_policy_mapping is not None:
            state.mapping = min(state.mapping, constraints.inhibit_policy_mapping)
    inhibit = one.extension(x509.InhibitAnyPolicy)
    if inhibit is not None:
        state.any = min(state.any, inhibit.skip_certs)
    return None


def _map(state: _State, one: Certificate) -> str | None:
    mappings = one.policy_mappings
    if not mappings:
        return None
    state.count(len(mappings))
    if any(ANY_POLICY in pair for pair in mappings):
        return f"{one.subject_text} maps anyPolicy"
    graph = state.graph
    if graph is None:
        return None
    targets: dict[str, set[str]] = {}
    for issuer, subject in mappings:
        targets.setdefault(issuer, set()).add(subject)
    level = graph[-1]
    for issuer, subjects in targets.items():
        if state.mapping > 0:
            if issuer in level:
                level[issuer].expected = subjects
            elif ANY_POLICY in level:
                node = _child(issuer, level[ANY_POLICY].parents)
                node.expected = subjects
                level[issuer] = node
        elif issuer in level:
            for parent in level.pop(issuer).parents:
                parent.children -= 1
    _prune(state)
    return None


def _constrained(state: _State, inputs: PolicyInputs) -> frozenset[str]:
    """The policies in the terms of the path's first authority, cut to those the caller wants (6.1.5 (g))."""
    graph = state.graph
    if graph is None:
        return frozenset()
    authority: set[str] = set()
    for depth, level in enumerate(graph[1:], 1):
        for policy, node in level.items():
            if policy == ANY_POLICY:
                if depth == len(graph) - 1:
                    authority.add(policy)
            elif any(parent.policy == ANY_POLICY for parent in node.parents):
                authority.add(policy)
    if len(graph) == 1:
        authority.add(ANY_POLICY)
    if ANY_POLICY in inputs.initial_policies:
        return frozenset(authority)
    if ANY_POLICY in authority:
        return inputs.initial_policies
    return frozenset(authority) & inputs.initial_policies
