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
        perturbed = "perturbed"
        split = "split"
        train = "train"
        test = "test"
        cell_type = "cell_type"
        dose = "dose"
        true_potential = "true_potential"

        @staticmethod
        def predicted(target: str) -> str:
            """Condition of predicted cells, which neither source nor observed target cells have."""
            return f"predicted {target}"

        @staticmethod
        def step(key: str) -> str:
            """Length of each cell's move, ‖T(x) − x‖, in the space of the map."""
            return f"{key}_step"

        @staticmethod
        def potential(key: str) -> str:
            """Kantorovich potential f(x) of the first ray."""
            return f"{key}_potential"

        @staticmethod
        def step_sd(key: str) -> str:
            """Spread of that length between the maps of an ensemble or of separate strata."""
            return f"{key}_step_sd"

        @staticmethod
        def spread(key: str) -> str:
            """Spread of the samples of what a cell becomes, over features."""
            return f"{key}_sd"

        @staticmethod
        def weight(key: str) -> str:
            """Mass with which unbalanced transport matches each cell, 1 on average."""
            return f"{key}_weight"

        @staticmethod
        def distance(key: str) -> str:
            """Distance of a cell to the source cells that the map was fitted on."""
            return f"{key}_distance"

        @classmethod
        def of_map(cls, key: str) -> tuple[str, ...]:
            """All columns that a map of this name may write."""
            columns = (
                cls.step,
                cls.potential,
                cls.distance,
                cls.spread,
                cls.step_sd,
                cls.weight,
            )
            return tuple(column(key) for column in columns)

    class obsm:
        """Entries of ``adata.obsm``."""

        pca = "X_pca"
        umap = "X_umap"
        true_direction = "true_direction"

        @staticmethod
        def predicted(key: str) -> str:
            """Predicted representation of each transported cell."""
            return f"X_{key}"

        @staticmethod
        def kept_umap(key: str) -> str:
            """UMAP that a figure of the map fitted; rows of cells that it did not draw are NaN."""
            return f"X_{key}_umap"

        @staticmethod
        def embedding(basis: str) -> str:
            """Coordinates of an embedding, by scanpy's short name for it."""
            return basis if basis.startswith("X_") else f"X_{basis}"

    class varm:
        """Entries of ``adata.varm``."""

        loadings = "PCs"

    class layers:
        """Entries of ``adata.layers``."""

        counts = "counts"
        counterfactual = "counterfactual"
        second_counterfactual = "second_counterfactual"

        @staticmethod
        def predicted(key: str) -> str:
            """Predicted expression; rows of cells that were not transported are NaN."""
            return key

        @staticmethod
        def spread(key: str) -> str:
            """Spread of the predicted expression between the maps of an ensemble."""
            return f"{key}_sd"

    class var:
        """Columns of ``adata.var``."""

        perturbed = "perturbed"
        log_fold_change = "true_log_fold_change"
        highly_variable = "highly_variable"
        means = "means"

        @staticmethod
        def missing(key: str) -> str:
            """Whether predicted cells lacked a gene of the map, which was filled in."""
            return f"{key}_missing"

    class uns:
        """Entries of ``adata.uns``."""

        pca = "pca"
        log1p = "log1p"
        active = "active"
        source = "source"
        x_description = "x_description"
        evaluate = "evaluate"
        log_fold_change = "log_fold_change"
        calibration = "calibration"
        fingerprints = "fingerprints"
        gene_vectors = "gene_vectors"

        @staticmethod
        def result(key: str) -> str:
            """Parameters, version, seed, history and diagnostics of one fitted map."""
            return key

        @staticmethod
        def kept_umap(key: str) -> str:
            """What a UMAP that a figure of the map fitted was fitted to."""
            return f"{key}_umap"

    class colors:
        """Palettes of ``adata.uns``, as scanpy names them."""

        @staticmethod
        def of(column: str) -> str:
            """Colours of the categories of a column of ``adata.obs``."""
            return f"{column}_colors"

    class split:
        """Entries of ``adata.uns[split_key]``, what :func:`rayot.pp.split` says of itself."""

        holdout = "holdout"
        control = "control"
        training_cells = "training_cells"
        rule = "rule"
        perturbations = "perturbations"
        scaffold = "scaffold"
        parts_seen = "parts_seen"
        hash = "hash"

    class result:
        """Entries of the dictionary ``adata.uns[key]`` of one fitted map."""

        source = "source"
        target = "target"
        groupby = "groupby"
        use_rep = "use_rep"
        layer = "layer"
        split_key = "split_key"
        dose_key = "dose_key"
        dose = "dose"
        method = "method"
        params = "params"
        version = "version"
        seed = "seed"
        history = "history"
        diagnostics = "diagnostics"
        potential_grid = "potential_grid"
        share_clipped = "share_clipped"
        strata = "strata"
        unseen_strata = "unseen_strata"
        experts = "experts"
        adapted_strata = "adapted_strata"
        stands_on = "stands_on"
        predictive_sd = "predictive_sd"
        member_means = "member_means"
        scale = "scale"
        split = "split"
        time = "time"
        times = "times"
        missing_genes = "missing_genes"
        n_missing_genes = "n_missing_genes"

    class translation:
        """Entries of the dictionary ``adata.uns[key]`` of a translation between modalities."""

        source = "source_modality"
        target = "target_modality"
        params = "params"
        version = "version"
        seed = "seed"
        diagnostics = "diagnostics"

    class screen:
        """Entries of the dictionary ``adata.uns[key]`` of a screen.

        ``displacement[p, 0]`` is the mean move of control cells under the perturbation of row p of
        ``table``, and ``displacement[p, 1 + t]`` that of ``cell_types[t]``.
        """

        control = "control"
        groupby = "groupby"
        table = "table"
        displacement = "displacement"
        cell_types = "cell_types"
        params = "params"
        version = "version"
        seed = "seed"
        similarity = "similarity"

    class conditional:
        """Entries of the dictionary ``adata.uns[key]`` of a conditional model."""

        control = "control"
        groupby = "groupby"
        dose_key = "dose_key"
        time_key = "time_key"
        covariate_keys = "covariate_keys"
        condition_keys = "condition_keys"
        """Former name of the covariates."""
        table = "table"
        left_out_errors = "left_out_errors"
        params = "params"
        version = "version"
        seed = "seed"
        history = "history"

    class vectors:
        """The tables in ``adata.uns`` that :mod:`rayot.pp` describes conditions by."""

        condition = "condition"
        """Name of the index."""

    class similarity:
        """Entries of ``adata.uns[key]["similarity"]`` of a screen, in the order of the leaves."""

        names = "names"
        cosine = "cosine"
        linkage = "linkage"

    class screen_table:
        """Columns of the table of a screen that are read again."""

        perturbation = "perturbation"
        energy_distance = "energy_distance"
        q_value = "q_value"
        detectable = "detectable"

    class member_means:
        """Entries of ``adata.uns[key]["member_means"]``: of held-out source cells, by cell type.

        ``values[k, g]`` is the mean expression of ``genes`` that member k predicts for
        ``n_cells[g]`` cells of type ``groups[g]``, which is empty for cells without a type.
        """

        values = "values"
        genes = "genes"
        groups = "groups"
        n_cells = "n_cells"

    class diagnostics:
        """Entries of ``adata.uns[key]["diagnostics"]`` that are read again."""

        held_out_dual = "held_out_dual"
        mean_step = "mean_step"
        initial_energy_distance = "initial_energy_distance"
        residual_energy_distance = "residual_energy_distance"
        floor_energy_distance = "floor_energy_distance"
        initial_wasserstein = "initial_wasserstein"
        residual_wasserstein = "residual_wasserstein"
        floor_wasserstein = "floor_wasserstein"
        n_cells_wasserstein = "n_cells_wasserstein"
        changed_type = "changed_type"
        floor_changed_type = "floor_changed_type"
        n_cells = "n_cells"
        certificate = "certificate"
        reason = "reason"

    class history:
        """Columns of ``adata.uns[key]["history"][phase]``, the curves of one training phase."""

        step = "step"
        validation_prefix = "validation_"

        @classmethod
        def validation(cls, metric: str) -> str:
            """The same metric on the validation share."""
            return f"{cls.validation_prefix}{metric}"

    class kept_umap:
        """Entries of ``adata.uns[key + "_umap"]``."""

        fingerprint = "fingerprint"
        seed = "seed"

    class potential_grid:
        """Entries of ``adata.uns[key]["potential_grid"]``; ``values[i, j]`` is at (x[j], y[i])."""

        x = "x"
        y = "y"
        values = "values"

    class table:
        """Rows and columns of the tables of ``tl``."""

        method = "method"
        identity = "identity"
        mean_shift = "mean shift"
        observed = "observed"
        predicted = "predicted"
        another_draw = "another draw"
        perturbed_mean = "perturbed mean"
        interpolated = "interpolated duplicate"
        controls = (identity, perturbed_mean, observed, interpolated)
        perturbation = "perturbation"
        stratum = "stratum"
        metric = "metric"
        value = "value"
        way_of_metric = "way"
        status = "status"
        reason = "reason"
        n_cells = "n_cells"
        distance = "distance"
        of_identity = "of identity"

        measure = "measure"
        fold_change = "log2 fold change"
        difference = "difference of means"

        level = "level"
        coverage = "coverage"
        sampling_coverage = "coverage by sampling alone"
        width = "width"
        sampling_width = "width by sampling alone"
        n_points = "n_points"

        @staticmethod
        def way(metric: str) -> str:
            """Share of the way from identity to observed, in one metric."""
            return f"way_{metric}"

        @staticmethod
        def error(column: str) -> str:
            """Signed error of a column of log fold changes."""
            return f"{column} error"
