"""What a fit says of itself, in a line and in an exit code."""

from __future__ import annotations

from typing import Any

from rayot.cli._command import POOR

POOR_HELP = (
    'Exit code 3 says that the certificate is "poor": more than 30 % of the distance to held-out '
    'target cells is left. "good", "check" and "no effect" exit with 0; the model is written in '
    "every case."
)
POOR_OF_MANY = (
    'Exit code 3 says that every map that was fitted has the certificate "poor"; the model is '
    "written in every case."
)


def certificate_of(model: Any) -> dict[str, Any]:  # noqa: ANN401
    """Certificate and reason of a model; of many maps how many have each, and a row of each."""
    if not hasattr(model, "table"):
        figures = model.diagnostics
        further = {name: value for name, value in figures.items() if name.startswith("unseen_")}
        return {"certificate": figures["certificate"], "reason": figures["reason"], **further}
    words = model.table["certificate"].value_counts().to_dict()
    fitted = [word for word in words if word != "no effect"]
    names = fitted or ["no effect"]
    return {
        "certificate": names[0] if len(names) == 1 else "check",
        "reason": f"Of {len(model.table)} conditions: "
        + ", ".join(f"{number} {word}" for word, number in words.items())
        + ".",
        "conditions": model.table.to_dict("records"),
    }


def line_of(described: dict[str, Any]) -> str:
    """Certificate and reason in a line."""
    return f"{described['certificate']}: {' '.join(described['reason'].split())}"


def exit_code(described: dict[str, Any]) -> int:
    """3 of a poor fit, 0 of any other."""
    return POOR if described["certificate"] == "poor" else 0
