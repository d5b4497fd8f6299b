"""How Sphinx builds these pages into a site: `make docs`. It asks no other host, and a warning ends it."""

from aftertone import __version__

project = "Aftertone"
copyright = "The Aftertone authors"
version = release = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
nitpicky = True

myst_heading_anchors = 4  # links such as results/README.md#which-part-does-what
suppress_warnings = ["myst.header"]  # pages of results begin with a table of their own

html_theme = "furo"
html_title = f"Aftertone {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif", "font-stack--monospace": "ui-monospace, monospace"},
    "top_of_page_buttons": [],
}
html_baseurl = ""
