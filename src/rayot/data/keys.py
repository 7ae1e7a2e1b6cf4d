"""Every name that rayot reads from or writes to an AnnData, in one place."""


class Key:
    """Names of AnnData entries, grouped by the slot they live in.

    Nothing else in the package spells such a name, so this class is the whole contract between
    rayot and a user's object.

    Examples
    --------
    >>> from rayot.data.keys import Key
    >>> Key.obsm.predicted("w1ot"), Key.obs.step("w1ot")
    ('X_w1ot', 'w1ot_step')
    """

    class obs:
        """Columns of ``adata.obs``."""

        perturbation = "perturbation"
        control = "control"
        split = "split"
        train = "train"
        test = "test"
        cell_type = "cell_type"

        @staticmethod
        def step(key: str) -> str:
            """Length of each cell's move, ‖T(x) − x‖, in the space of the map."""
            return f"{key}_step"

        @staticmethod
        def potential(key: str) -> str:
            """Kantorovich potential f(x) of the first ray."""
            return f"{key}_potential"

    class obsm:
        """Entries of ``adata.obsm``."""

        pca = "X_pca"
        umap = "X_umap"

        @staticmethod
        def predicted(key: str) -> str:
            """Predicted representation of each transported cell."""
            return f"X_{key}"

    class varm:
        """Entries of ``adata.varm``."""

        loadings = "PCs"

    class layers:
        """Entries of ``adata.layers``."""

        counts = "counts"
        counterfactual = "counterfactual"

        @staticmethod
        def predicted(key: str) -> str:
            """Predicted expression; rows of cells that were not transported are NaN."""
            return key

    class var:
        """Columns of ``adata.var``."""

        perturbed = "perturbed"
        log_fold_change = "true_log_fold_change"

    class uns:
        """Entries of ``adata.uns``."""

        pca = "pca"

        @staticmethod
        def result(key: str) -> str:
            """Parameters, version, seed, history and diagnostics of one fitted map."""
            return key

    class result:
        """Entries of the dictionary ``adata.uns[key]`` of one fitted map."""

        source = "source"
        target = "target"
        groupby = "groupby"
        use_rep = "use_rep"
        layer = "layer"
        split_key = "split_key"
        params = "params"
        version = "version"
        seed = "seed"
        history = "history"
        diagnostics = "diagnostics"
        potential_grid = "potential_grid"
        share_clipped = "share_clipped"
        evaluation = "evaluation"
