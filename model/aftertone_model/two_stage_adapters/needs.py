"""What a project's clips must tell so that the method can learn, before anything is trained; it brings no torch."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from aftertone_model.method_names import TWO_STAGE

TRANSCRIPT = "transcript"
LEARNED = ("gender", "style")  # attributes of which stage 2 learns those that tell clips apart
FEWEST = 2  # labelled clips of each of two values, and with a transcript, with which training begins


def lacks(attributes: Sequence[Mapping[str, str]], asked: Collection[str]) -> str:
    """What no clip has and no annotator is asked for, and how to get it; '' where nothing is lacking.

    Args:
        attributes: of each clip of the project.
        asked: attributes that further controls of the label config ask for.
    """
    if not attributes:
        return ""
    said: list[str] = []
    if TRANSCRIPT not in asked and not any(told.get(TRANSCRIPT) for told in attributes):
        said.append(
            'No clip has a transcript: give tasks a field transcript, or add <TextArea name="transcript" '
            'toName="audio"/> to the label config.'
        )
    values = {name: sorted({told[name] for told in attributes if told.get(name)}) for name in LEARNED}
    if not set(LEARNED) & set(asked) and all(len(found) < 2 for found in values.values()):
        only = [f"every clip that has a {name} has the same, {found[0]}" for name, found in values.items() if found]
        why = f"No clip has a gender or a style{' that differs' * bool(only)}"
        said.append(
            f"{why}{' (' + '; '.join(only) + ')' if only else ''}: give tasks a field gender or style, or add <Choices "
            'name="gender" toName="audio"> with a Choice for each value to the label config.'
        )
    fields = " The setting ATTRIBUTES names fields that are called otherwise."
    return f"The method {TWO_STAGE} lacks what it learns from. {' '.join(said)}{fields}" if said else ""


def awaits(labelled: Sequence[Mapping[str, str]]) -> str:
    """What labelled clips must tell before training begins; '' where they tell enough.

    Args:
        labelled: attributes of each clip that may be trained on.
    """
    said: list[str] = []
    if (count := sum(bool(told.get(TRANSCRIPT)) for told in labelled)) < FEWEST:
        said.append(f"{FEWEST} labelled clips with a transcript ({count} have one)")
    counts = [Counter(told[name] for told in labelled if told.get(name)) for name in LEARNED]
    if not any(sum(many >= FEWEST for many in values.values()) > 1 for values in counts):
        told = "; ".join(
            f"{name}: " + (", ".join(f"{value} {many}" for value, many in sorted(values.items())) or "none")
            for name, values in zip(LEARNED, counts, strict=True)
        )
        said.append(f"{FEWEST} labelled clips of each of two genders or styles ({told})")
    return f"{TWO_STAGE} begins with {' and '.join(said)}" if said else ""
