"""How Sphinx builds these pages into a site: `make docs`. It asks no other host, and a warning ends it.

The pages have no directives of Sphinx, so that they read the same anywhere. What is a chapter of what follows from the
links of index.md, by section, and of each README.md.
"""

import re
from pathlib import PurePosixPath

from sphinx.application import Sphinx

from aftertone import __version__

project = "Aftertone"
copyright = "The Aftertone authors"
version = release = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
nitpicky = True
myst_heading_anchors = 4  # links such as results/README.md#which-part-does-what
suppress_warnings = ["myst.header"]  # tables of results begin with a heading of a lower level

highlight_language = "none"  # a block without a language is what a command prints

html_theme = "furo"
html_title = f"Aftertone {release}"
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif", "font-stack--monospace": "ui-monospace, monospace"}
}

LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)\.md\)")


def chapters(name: str, text: str) -> str:
    """Hidden tables of contents of a page that has chapters; nothing for others.

    Args:
        name: of the page, without its ending.
        text: its Markdown.
    """
    if name == "index":
        parts = [part.partition("\n") for part in text.split("\n## ")[1:]]
        return "".join(_toctree(title, LINK.findall(links)) for title, _, links in parts)
    if PurePosixPath(name).name == "README":
        return _toctree("", [link for link in LINK.findall(text) if not link[1].startswith("..")])
    return ""


def _toctree(caption: str, links: list[tuple[str, str]]) -> str:
    titles = {target: title for title, target in reversed(links)}
    lines = [f"{titles[target]} <{target}>" for target in dict.fromkeys(target for _, target in links)]
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n\n```{toctree}\n" + "\n".join([*options, "", *lines]) + "\n```\n" if links else ""


def _add_chapters(_: Sphinx, name: str, source: list[str]) -> None:
    source[0] += chapters(name, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _add_chapters)
