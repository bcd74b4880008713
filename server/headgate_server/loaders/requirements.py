"""Whether this image's libraries are the ones that a model was made with, as far as it matters.

A fitted scikit-learn estimator is only promised to work in the minor version that made it; numpy only across one
major version. Everything else in requirements.txt is what MLflow happened to see, not what the model needs.
"""

from headgate_server import logs
from headgate_server.mlmodel import Description, text
from headgate_server.reasons import LoadError, Reason
from headgate_server.settings import Requirements


def check(described: Description, policy: Requirements, *, sklearn: str, numpy: str) -> None:
    """Compare the model's versions with the installed ones; RequirementMismatch or a warning, as the policy says."""
    made_with = text(described.flavor_fields.get("sklearn_version")) or described.requirements.get("scikit-learn", "")
    wrong = []
    if made_with and _parts(made_with, 2) != _parts(sklearn, 2):
        wrong.append(f"made with scikit-learn {made_with}, this image has {sklearn}")
    numpy_made_with = described.requirements.get("numpy", "")
    if numpy_made_with and _parts(numpy_made_with, 1) != _parts(numpy, 1):
        wrong.append(f"made with numpy {numpy_made_with}, this image has {numpy}")
    if not wrong:
        return
    if policy is Requirements.STRICT:
        raise LoadError(Reason.REQUIREMENT_MISMATCH, "; ".join(wrong))
    logs.warning("the model was made with other versions", mismatch="; ".join(wrong))


def _parts(version: str, count: int) -> list[str]:
    return version.split(".")[:count]
