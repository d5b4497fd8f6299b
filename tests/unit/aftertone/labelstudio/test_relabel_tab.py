"""One tab, whatever the list."""

from aftertone.labelstudio.relabel_tab import TITLE, publish_tab
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio


def shown(label_studio: FakeLabelStudio) -> list[int]:
    (tab,) = label_studio.state["tabs"]
    assert tab["data"]["title"] == TITLE
    assert tab["data"]["filters"]["conjunction"] == "or"
    return [item["value"] for item in tab["data"]["filters"]["items"]]


def test_the_tab_is_made_once_and_changed_after() -> None:
    label_studio = FakeLabelStudio(tasks=3)
    publish_tab(label_studio, 1, [])
    assert label_studio.calls == []
    publish_tab(label_studio, 1, [3, 1])
    publish_tab(label_studio, 1, [1, 3])
    assert shown(label_studio) == [1, 3]
    publish_tab(label_studio, 1, [2])
    assert shown(label_studio) == [2]
    publish_tab(label_studio, 1, [])
    assert shown(label_studio) == [-1]
    assert label_studio.calls == ["make_tab", "change_tab", "change_tab"]


def test_what_people_changed_of_the_tab_stays() -> None:
    label_studio = FakeLabelStudio(tasks=3)
    publish_tab(label_studio, 1, [1])
    label_studio.state["tabs"][0]["data"]["ordering"] = ["-tasks:id"]
    publish_tab(label_studio, 1, [2])
    assert label_studio.state["tabs"][0]["data"]["ordering"] == ["-tasks:id"]
