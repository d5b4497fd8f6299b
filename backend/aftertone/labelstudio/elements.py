"""Elements of a label config: which tags lie within and around them, and what their attributes say."""

from collections.abc import Iterator
from typing import Any

VIDEO = "video"  # its sound is learned from where there is no other
LONGEST_SHOWN = 60  # characters of a name in a sentence

Element = Any  # of lxml, which has no types


def quoted(text: str) -> str:
    """A name of the label config for a sentence: on one line, printable and not too long."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f'"{clean[:LONGEST_SHOWN]}…"' if len(clean) > LONGEST_SHOWN else f'"{clean}"'


def is_tag(element: Element, *tags: str) -> bool:
    """Whether it is one of these tags, in lower case."""
    return element.tag.lower() in tags


def is_true(element: Element, attribute: str) -> bool:
    """Whether an attribute is set."""
    return (element.get(attribute) or "").strip().lower() in ("true", "1")


def within(element: Element, tag: str) -> Iterator[Element]:
    """The tags of a kind within it, however deep."""
    return (e for e in element.iterdescendants() if isinstance(e.tag, str) and is_tag(e, tag))


def parent_choice(choice: Element) -> Element | None:
    """The Choice tag that it lies in."""
    return next((e for e in choice.iterancestors() if is_tag(e, "choice")), None)


def condition(element: Element) -> str:
    """The attribute, with its value, that hides a control or a View around it until something else is chosen.

    What hides everything until a region is marked is no condition of a question about regions.
    """
    of_regions = is_true(element, "perRegion")
    for tag in (element, *element.iterancestors()):
        for attribute in ("visibleWhen", "whenChoiceValue"):
            given = tag.get(attribute)
            if given and given != "no-region-selected" and not (of_regions and given == "region-selected"):
                return f"{attribute}={quoted(given)}"
    return ""
