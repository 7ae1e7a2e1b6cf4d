"""Parameter texts that several verbs share, written once."""

import re
from collections.abc import Callable
from typing import TypeVar

Documented = TypeVar("Documented", bound=Callable[..., object])

PARAMETERS = {
    "adata": """adata
    Annotated data: dense, sparse, a view or on disk. A MuData needs ``modality``.""",
    "source_key": """source_key
    Category of ``obs[groupby]`` that cells start from, usually the control.""",
    "target_key": """target_key
    Category of ``obs[groupby]`` whose response is learned.""",
    "groupby": """groupby
    Column of ``obs`` with the conditions.""",
    "layer": """layer
    Layer with log-normalised expression; None is ``X``.""",
    "use_rep": """use_rep
    Entry of ``obsm`` to work on, decoded back to genes where that is known how: principal
    components by ``varm["PCs"]``, what :func:`rayot.pp.autoencoder` wrote, or a
    :class:`rayot.representation.SCVI`. None works on the expression itself.""",
    "split_key": """split_key
    Column of ``obs`` with "train" and "test", as :func:`rayot.pp.split` writes it; only training
    cells are fitted. None, or no column of the default name, fits all cells.""",
    "modality": """modality
    Modality of a MuData.""",
    "allow_counts": """allow_counts
    Whether expression that looks like raw counts is used as it is.""",
    "strata_key": """strata_key
    Column of ``obs`` (patient, batch, cell type): cells are matched within its groups only. None
    matches all cells with each other.""",
    "strata": """strata
    ``"balanced"``: one map, to which all strata count alike. ``"separate"``: one map for each
    stratum; cells of other strata get their combination, with the spread between maps as
    uncertainty.""",
    "small_strata": """small_strata
    ``"drop"``: strata with fewer than 10 training cells of a condition are left out, with a
    warning. ``"raise"``: they are an error.""",
    "covariate_keys": """covariate_keys
    Column of ``obs`` with a covariate (cell type, patient) that the model knows of every cell, or
    several, whose combinations then are its covariates. The default column need not exist; None
    knows of none.""",
    "dose_key": """dose_key
    Column of ``obs`` with the dose of each treated cell, above 0 as its logarithm is taken; that of
    source cells is not looked at. None takes all cells of a condition as treated alike.""",
    "time_key": """time_key
    Column of ``obs`` with how long each treated cell was treated, above 0, in place of
    ``dose_key``; that of source cells is not looked at. Times enter as they are.""",
    "weights_key": """weights_key
    Column of ``obs`` with the weight of each cell, at least 0. None weighs all cells alike.""",
    "perturbations": """perturbations
    Categories of ``obs[groupby]`` whose response is learned; None takes all but the control.""",
    "part": """part
    Perturbations that are fitted in this call, of all that are tested; None fits all. Screens of
    different parts, fitted at the same time on different machines, are put together by
    :meth:`rayot.model.Screen.gather`.""",
    "min_cells": """min_cells
    Training cells that a perturbation needs, at least 20.""",
    "small_perturbations": """small_perturbations
    ``"skip"``: perturbations with fewer cells are left out, with a warning that names them.
    ``"raise"``: they are an error.""",
    "fdr": """fdr
    False discovery rate (Benjamini & Hochberg 1995) over all perturbations: those whose energy
    distance permutation test does not pass it are not fitted, and their cells stay where they are.
    None fits all; each is then shrunk by its own p-value.""",
    "max_memory": """max_memory
    GB (10⁹ bytes) that the maps fitted at once may take in each process, beside the cells. It cuts
    the stack into chunks, of up to 8 maps on a processor and 512 on a GPU.""",
    "n_jobs": """n_jobs
    Processes that chunks are spread over, by joblib: None is one, unless
    ``joblib.parallel_config`` says otherwise, which also names a Dask cluster. Genes are
    calibrated in as many threads of this process, where a number is given.""",
    "n_seeds": """n_seeds
    Members of an ensemble, fitted in one stack. The prediction is their mean; their spread is
    written beside it.""",
    "n_seeds_of_map": """n_seeds
    Members of an ensemble, fitted in one stack. The prediction is their mean; their spread is
    written beside it. None takes five of ``w1ot`` with ``preset="fast"``, as where a single map
    sends a cell depends on the seed, and writes the spread of their steps, but not that of genes,
    which takes several times as long as the prediction. It takes one where strata are separate,
    and one of any other.""",
    "copy": """copy
    Deprecated: fit ``adata.copy()`` in its place, or ``adata.to_memory()`` of cells on disk. True
    writes to a copy, which the returned model holds as ``model.adata``.""",
    "write_genes": """write_genes
    Whether predictions are decoded to genes, a dense matrix of all cells.""",
    "missing_genes": """missing_genes
    What is done where cells lack genes of the model. ``"error"``: it is an error, which lists them.
    ``"zero"``: they are taken as zero. ``"mean"``: as their mean over the source cells of training.
    What was filled in moves as any value does, so what is predicted of these genes is as good as
    the guess; other genes feel it through the space of the map. A warning says how many; more than
    half is an error. A space without a decoder looks at no genes.""",
    "clip": """clip
    ``"auto"``: negative predictions are set to zero if the training cells had none. True: always,
    False: never.""",
    "preset": """preset
    ``"paper"``: the published algorithm with its settings. ``"fast"``: what we recommend.
    ``"adversarial"``, of ``w1ot`` alone: rays as in ``"fast"``, and a step size
    that plays against a 1-Lipschitz critic.""",
    "seed": """seed
    Keys every draw; equal seeds repeat a fit bit for bit on one machine.""",
    "max_steps": """max_steps
    Optimisation steps of each phase (a ray's potential or step size); None takes the preset's.""",
    "batch_size": """batch_size
    Cells drawn of each condition at a step; None takes the preset's.""",
    "early_stopping": """early_stopping
    Whether a phase ends when its held-out value stops improving.""",
    "early_stopping_patience": """early_stopping_patience
    Blocks of 100 steps without improvement after which it ends.""",
    "validation_size": """validation_size
    Share of the training cells set apart, after a shuffle, to watch the fit.""",
    "n_folds": """n_folds
    Where a condition has fewer than 100 training cells, so many further maps are fitted, each
    without its part of the cells, and held-out figures are means over them. The fit then takes
    two to three times as long; the map itself is the same. 1 judges it by ``validation_size``
    alone.""",
    "leave_out_strata": """leave_out_strata
    With ``strata_key``: whether one stratum after the other, eight at most, is left out of further
    maps, which are then judged by it. ``model.unseen_strata`` says what the fit does for strata
    that it has not seen. It takes about as long as the fit; the map itself is the same.""",
    "checkpoint_dir": """checkpoint_dir
    Folder of checkpoints, from which an interrupted fit continues. None writes none.""",
    "checkpoint_every": """checkpoint_every
    Steps between two checkpoints.""",
    "resume": """resume
    Whether a fit in ``checkpoint_dir`` is continued; otherwise it is overwritten.""",
    "accelerator": """accelerator
    As in :class:`lightning.pytorch.Trainer`.""",
    "devices": """devices
    As in :class:`lightning.pytorch.Trainer`.""",
    "show_progress_bar": """show_progress_bar
    Whether a progress bar is shown.""",
    "callbacks": """callbacks
    Lightning callbacks beside our own; an epoch is a block of 100 steps.""",
    "plan_kwargs": """plan_kwargs
    Settings that differ from the preset's; :doc:`/api/model` lists those of each method, such as
    :class:`rayot.solvers.W1Settings`.""",
    "trainer_kwargs": """**trainer_kwargs
    Further arguments of :class:`lightning.pytorch.Trainer`.""",
    "fitted_adata": """adata
    With the fitted map. It is not changed.""",
    "drawn_adata": """adata
    Cells with the fitted map. With ``obsm["X_umap"]``, or where no UMAP is drawn in, it is not
    changed. Otherwise a UMAP of the observed source and target cells is fitted and kept, NaN for
    other cells, in ``obsm[f"X_{key}_umap"]``; ``uns[f"{key}_umap"]`` says what it was fitted to.
    Later figures take it for as long as these cells and their values are the same. A view keeps
    none.""",
    "key": """key
    Name of the fitted map. None takes the only one in ``adata``.""",
    "key_of_screen": """key
    Name of the screen. None takes the only one in ``adata``.""",
    "ax": """ax
    Axes to draw on.""",
    "show": """show
    Show the figure and return nothing; by default ``scanpy.settings.autoshow`` unless ``ax`` is
    given.""",
    "save": """save
    True, or what to append to the file name, saves into ``scanpy.settings.figdir``; a path (a text
    with a slash, or a :class:`~pathlib.Path`) saves to that file.""",
    "network_size": """n_features
    Dimension d of a cell.
generators
    One CPU generator a problem; their number is P.""",
    "common_settings": """decode
    ``"direct"``: predicted genes are the decoded representation. ``"delta"``: the change of
    the decoded representation is added to the cell's own genes, which keeps what the
    representation lost. ``"calibrated"``: as ``"delta"``, and then each gene is given the
    distribution that training cells of the target have, with its zeros, its spread and its tails,
    as far as a test is certain that the gene changes; a gene that does not change, and a cell that
    does not move, keep their values. Cells keep their ranks, and those beyond all training cells
    get the outermost value. Nothing is clipped. Genes go the whole way then, however much
    ``shrink`` shortened the map. ``"auto"``: ``"calibrated"`` where the expression has zeros, more
    than a twentieth of its values, and nothing below; ``"delta"`` elsewhere, and where there are no
    target cells to learn distributions from.
standardise
    Whether cells are centred and divided by one scale, which makes the root mean square
    distance of source and target cells to their common mean equal to 3.
n_components
    Leading principal components of the training cells that the map works on, where cells have
    more features; what lies outside of them stays as it is. None works on all features.
shrink
    Whether moves are shortened to what held-out cells support, and to nothing where source and
    target do not differ by an energy distance permutation test.
batch_size
    Cells drawn from the source, and as many from the target, at each step.""",
    "stack": """n_features
    Dimension d of a cell.
names
    Name of each of the P problems; keys the initial values.
settings
    Of the method.
seed
    Keys the initial values.""",
    "network_settings": """width, n_layers
    Units and hidden layers of the networks.
n_steps
    Optimisation steps.
lr, lr_end
    First and last learning rate, joined by a cosine.
betas
    Adam's exponential decay rates.""",
    "flow_settings": """integration_steps
    Steps of the midpoint rule from time 0 to time 1.""",
    "joint_settings": """conditions
    All that the model learns: source and target first, then those of the training cells, or those
    of them that are named here.
covariates
    Values of the covariate; the model finds them.
dose
    Dose of the target that cells are moved to; None takes the geometric mean of its training
    cells. It says nothing without ``dose_key``.
n_latent
    Dimension of a cell's code.""",
    "method": """adata
    Annotated data; a MuData needs ``modality``.
data
    What :meth:`setup_anndata` returned.
source_key, target_key
    Categories of the column it named: where cells start, and whose response is learned.
preset
    ``"paper"``: as published. ``"fast"``: quick and good. ``"adversarial"``, of
    :class:`~rayot.model.W1OT` alone: rays as in ``"fast"``, and a step size that plays against
    a 1-Lipschitz critic. None takes the method's default.
representation
    A representation of its own, such as :class:`rayot.representation.SCVI`; None takes the
    one that ``data`` names.
modality
    Modality of a MuData.
strata
    ``"balanced"``: one map, to which all strata count alike. ``"separate"``: one map for each
    stratum; cells of other strata get their combination, with the spread between maps as
    uncertainty.
small_strata
    ``"drop"``: strata with fewer than 10 training cells of a condition are left out, with a
    warning. ``"raise"``: they are an error.
n_seeds
    Members of an ensemble, fitted in one stack. The prediction is their mean; their spread is
    written beside it. None takes five of ``w1ot`` with ``preset="fast"``, as where a single map
    sends a cell depends on the seed, and writes the spread of their steps, but not that of genes,
    which takes several times as long as the prediction. It takes one where strata are separate,
    and one of any other.
seed
    Keys every draw.
**plan_kwargs
    Settings that differ from the preset's, see the settings of the method in
    :doc:`/api/model`.""",
    "method_name": """method
    Name of the method that is fitted: ``"w1ot"``, ``"w2ot"``, ``"genot"`` or any other whose
    problems are independent.""",
    "covariates_of_conditions": """covariate_keys
    Further columns of ``obs``, one or several, that are part of a condition, such as cell type or
    patient: cells start from the control of the same categories. None, or none of them, takes all
    cells as alike.""",
    "embedding_key": """embedding_key
    Entry of ``uns`` with a vector for each category of ``groupby``: a dictionary, or a DataFrame
    with a row each, as :func:`rayot.pp.fingerprints` writes it of drugs and
    :func:`rayot.pp.gene_vectors` of genes. Categories with a vector can be predicted unseen. A
    combination needs none, as its parts have theirs. A dictionary names the entry of several
    columns, among them those of ``covariate_keys``. Columns without have a learned embedding of
    each category. A vector of zeros, other than the control's, is an error, and so are vectors
    that are all the same.""",
    "min_condition_cells": """min_cells
    Training cells that a condition needs, and its control; conditions with fewer are left out, with
    a warning that names them.""",
    "key_added": """key_added
    Name under which results are written.""",
    "key_of_scores": """key_added
    Entry of ``adata.uns`` that the table is written to; an earlier table is replaced. A view keeps
    none, as writing to it would copy its cells.""",
    "reproduced": """folder
    Of the results: ``table.csv``, figures, and a file for each finished run. It is made if it is
    not there. Called again with the same folder, only what is missing is computed.
seeds
    One run each; figures are means over them.
quick
    A few steps for each fit, to see that it works. Its figures say nothing, and each row says so.
show_progress_bar
    Show how far it is.""",
    "key_of_table": """key
    Entry of ``adata.uns`` with the table. None takes the only one of its kind.""",
}


def shared(function: Documented) -> Documented:
    """Replace each line ``{name}`` of a docstring by the text of that parameter.

    Raises
    ------
    KeyError
        If there is no text of that name.
    """

    def text(match: re.Match[str]) -> str:
        indent, name = match.groups()
        return "\n".join(indent + line for line in PARAMETERS[name].splitlines())

    if function.__doc__:
        function.__doc__ = re.sub(r"^( *)\{(\w+)\}$", text, function.__doc__, flags=re.MULTILINE)
    return function
