"""Configuration of the documentation, https://www.sphinx-doc.org/page/usage/configuration.html."""

import hashlib
import json
import os
import shutil
import sys
from datetime import datetime
from importlib.metadata import distributions, metadata
from importlib.util import find_spec
from pathlib import Path

from sphinxcontrib import katex

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

# Tutorials live beside the documentation; Sphinx reads only what is below it.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", HERE / "tutorials")

# Two of them read an archive of several GB, and are shown on a small one of simulated cells. Its
# folder is named after the code that makes it: another archive is another notebook to the cache.
sys.path.insert(0, str(HERE.parent / "tests" / "tutorials"))
import stand_in  # noqa: E402

digest = hashlib.sha256(Path(stand_in.__file__).read_bytes()).hexdigest()[:16]
archive = stand_in.write_archive(HERE / "_build" / "stand_in" / digest)
for path in archive.parents[1].glob("*"):
    if path.name != digest:
        shutil.rmtree(path)
for name in stand_in.TUTORIALS:
    original, path = (folder / "tutorials" / name for folder in (HERE.parent, HERE))
    shown = stand_in.on_stand_in(
        json.loads(original.read_text(encoding="utf-8")),
        os.path.relpath(archive.parent, path.parent),
    )
    path.write_text(json.dumps(shown), encoding="utf-8")
    shutil.copystat(original, path)

# -- Project -----------------------------------------------------------------

info = metadata("rayot")
project = info["Name"]
author = info["Author"]
copyright = f"{datetime.now():%Y}, {author}"
version = release = info["Version"]

# -- Sphinx ------------------------------------------------------------------

needs_sphinx = "8.1"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "sphinxcontrib.katex",
    "IPython.sphinxext.ipython_console_highlighting",
    *sorted(path.stem for path in (HERE / "extensions").glob("*.py")),
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
templates_path = ["_templates"]
exclude_patterns = ["_build", "generated/tables", "**.ipynb_checkpoints"]
default_role = "literal"
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# References to rayot must resolve. Those to other packages can only where their inventories are
# read, which needs the internet: on Read the Docs.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!rayot\.).*")]
nitpick_ignore = [
    ("py:class", f"rayot.{name}")  # in signatures, and not for users
    for name in (
        "benchmark._measure.FitsAndPredicts",
        "model.decoding.Decoder",
        "model.moves.Moves",
        "representation.autoencoder.AutoencoderNetwork",
        "model.method.Method",
        "solvers.attributes.Attributes",
        "solvers.biolord.BiolordMap",
        "solvers.carried.CarriedCells",
        "solvers.cinema.CinemaMap",
        "solvers.cpa.CPAMap",
        "solvers.discrete.DiscreteMap",
        "solvers.fixed_step.FixedStepMap",
        "solvers.flow.FlowMap",
        "solvers.fold.CombinedFold",
        "solvers.fold.Fold",
        "solvers.gaussian.GaussianMap",
        "solvers.joint.JointSettings",
        "solvers.latent_shift.LatentShiftMap",
        "solvers.population.Population",
        "solvers.profiles.ProfileMap",
        "solvers.quantile.MarginalMap",
        "solvers.shift.IdentityMap",
        "solvers.shift.ShiftMap",
        "solvers.w1.W1Map",
    )
]
intersphinx_mapping = {}
if os.environ.get("READTHEDOCS"):
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "lightning": ("https://lightning.ai/docs/pytorch/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

# -- Docstrings --------------------------------------------------------------

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # sphinx_autodoc_typehints writes them
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = True
napoleon_use_param = True
typehints_defaults = "braces"
typehints_document_rtype_none = False
maximum_signature_line_length = 80
always_use_bars_union = True

# -- Pages and notebooks -----------------------------------------------------

myst_heading_anchors = 3
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
# Notebooks are run again if they, the package or an installed version have changed: the outputs
# of an unchanged notebook depend on the others, of which the cache's own key knows nothing. A new
# folder is a changed setting too, at which Sphinx reads all pages again.
executed = HERE / "_build" / "jupyter_cache"
code = hashlib.sha256(sys.version.encode())
code.update("".join(sorted(f"{each.name}=={each.version}" for each in distributions())).encode())
for path in sorted(Path(find_spec("rayot").origin).parent.rglob("*")):
    if path.suffix in (".py", ".toml"):
        code.update(str(path).encode() + path.read_bytes())
for path in executed.glob("*"):
    if path.name != code.hexdigest()[:16]:
        shutil.rmtree(path)
nb_execution_mode = "cache"
nb_execution_cache_path = str(executed / code.hexdigest()[:16])
# The outputs of those on real cells are stored: a build may have no way to get the files.
nb_execution_excludepatterns = ["tutorials/cytometry.ipynb", "tutorials/doses.ipynb"]
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"

# -- HTML --------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = "rayot"
html_static_path = ["_static"]
html_css_files = ["css/custom.css"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
}
katex_prerender = shutil.which(katex.NODEJS_BINARY) is not None
# A busy machine needs more than the default of five seconds to start the server of formulas.
katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 120.0
