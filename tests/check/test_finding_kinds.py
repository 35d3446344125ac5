"""The kinds of findings: hard before soft, and how one is written as JSON."""

from pathlib import Path

from finetune.check.finding_kinds import KINDS, Finding


def test_hard_kinds_come_before_soft_ones() -> None:
    severities = [kind.hard for kind in KINDS.values()]
    assert severities == sorted(severities, reverse=True)
    assert [name for name, kind in KINDS.items() if kind.hard] == [
        "unreadable", "damaged", "dim", "one-colour", "identical-classes", "identical-sides", "similar-names",
        "empty-class", "one-class", "class-one-side",
    ]  # fmt: skip


def test_titles_differ_and_every_advice_is_a_sentence() -> None:
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert all(kind.advice[0].isupper() or kind.advice.startswith("finetune") for kind in KINDS.values())
    assert all(kind.advice.endswith(".") for kind in KINDS.values())


def test_json() -> None:
    assert Finding("near", "2 images", (Path("a"), Path("b"))).to_json() == {
        "kind": "near",
        "severity": "soft",
        "message": "2 images",
        "files": ["a", "b"],
    }
    assert Finding("one-class", "only 'a' has images").to_json()["severity"] == "hard"
