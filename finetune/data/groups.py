"""Groups of images that belong to one split: named by a list or by the path, and joined where they share an image."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

BY_PARENT = "parent"  # what --group-by takes instead of a regular expression

Group = tuple[str, ...]  # digests, sorted


def group_name(path: Path, group_by: str) -> str:
    """Return the name of the group that a path puts its image into, or "" if the image is a group of its own.

    `group_by`: BY_PARENT for the folder directly above the image, or a regular expression, found anywhere in the path,
    whose first group is the name.
    """
    if group_by == BY_PARENT:
        return str(path.parent)
    found = re.search(group_by, str(path))
    return (found[1] or "") if found else ""


def joined_groups(digests: Iterable[str], together: Iterable[Sequence[str]]) -> dict[str, Group]:
    """Return digest -> all digests of its group; groups in `together` that share a digest are one.

    A digest that is not in `together` is a group of its own. `together` may have others than `digests`.
    """
    leaders = {digest: digest for digest in digests}

    def leader_of(digest: str) -> str:
        while leaders[digest] != digest:
            leaders[digest] = leaders[leaders[digest]]  # halves the way for the next search
            digest = leaders[digest]
        return digest

    for group in together:
        for one, other in pairwise(group):
            leaders.setdefault(one, one)
            leaders.setdefault(other, other)
            leaders[leader_of(other)] = leader_of(one)
    members: dict[str, list[str]] = {}
    for digest in leaders:
        members.setdefault(leader_of(digest), []).append(digest)
    return {digest: group for each in members.values() for group in [tuple(sorted(each))] for digest in each}
