"""The documentation as a site: `make docs` builds it, a test builds it with every warning an error.

The source folder is the repository, not docs/, so that the links of README.md, CHANGELOG.md and CONTRIBUTING.md work on
the site as they do in the checkout. What is not documentation is left out by name.
"""

project = "eth_pipeline"
author = "the eth_pipeline authors"
language = "en"

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "build", "dist", "*.egg-info", "eth_pipeline*", "benchmarks", "deploy", "h800"]

myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "eth_pipeline"
html_copy_source = False
