"""Toy sets, simulations with a known answer, and real perturbed cells."""

from rayot._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "available": "_registry",
        "bodenmiller12": "_bodenmiller12",
        "bookshelf": "_toy",
        "checkerboard": "_gaussians",
        "circles": "_toy",
        "eight_gaussians": "_gaussians",
        "four_i": "_cellot",
        "gbm_panobinostat": "_gbm_panobinostat",
        "kang18": "_kang18",
        "moons": "_toy",
        "norman19": "_norman19",
        "papalexi21": "_papalexi21",
        "pbmc_perturbed": "_pbmc",
        "s_curve": "_toy",
        "sciplex2": "_sciplex2",
        "sciplex3": "_cellot",
        "simulated": "_simulated",
        "simulated_screen": "_simulated_screen",
        "snareseq": "_snareseq",
        "swiss_roll": "_toy",
        "w1_benchmark": "_w1_benchmark",
    },
)
