"""How the documentation is built: Sphinx, Markdown by MyST, the theme Furo."""

from importlib.metadata import version as installed

project = "prefork"
copyright = "The prefork authors"
version = release = installed("prefork")

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"prefork {release}"
html_show_sphinx = False
