"""Train six iris classifiers and register them in MLflow, as a training pipeline would.

A process of its own (`python -m headgate_cli.demo.train --registry URI`): importing mlflow takes seconds and memory
that the demonstration itself does not need. Two of them are good, and one is good and gets no traffic for a while.
The other three are bad in the three ways that matter: one fails for some inputs, one is slow, and the file of one was
damaged after it was registered, while MLflow still calls it READY.
"""

import argparse
import logging
import os
import sys
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODEL = "iris-classifier"
MISSING = "headgate demo needs its extra: pip install 'headgate[demo]'"
WIDE = 2.2  # cm; petals from here on are what version 3 has never seen

# scikit-learn's compiled tree: skops asks for a word of trust from whoever saves it. The server has its own list.
TREE = "sklearn.tree._tree.Tree"


@dataclass(frozen=True)
class Recipe:
    name: str
    make: Callable[[], Any]
    narrow: bool = False  # trained on narrow petals only
    damaged: bool = False


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m headgate_cli.demo.train", description=__doc__.splitlines()[0])
    parser.add_argument("--registry", required=True, metavar="URI", help="address of the MLflow server")
    args = parser.parse_args(argv)
    try:
        return register_all(args.registry)
    except ModuleNotFoundError as error:
        print(f"{MISSING} ({error.name} is missing)", file=sys.stderr)  # noqa: T201
        return 2


def recipes() -> tuple[Recipe, ...]:
    """Versions 1 to 6, in this order."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def regression(strength: float) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))

    def forest(trees: int) -> Any:
        return RandomForestClassifier(n_estimators=trees, max_depth=4, random_state=7)

    def one_hot() -> Any:
        return make_pipeline(OneHotEncoder(handle_unknown="error"), LogisticRegression(max_iter=500))

    return (
        Recipe("random forest", lambda: forest(15)),
        Recipe("logistic regression", lambda: regression(1.0)),
        Recipe(f"one-hot encoded; has never seen a petal of {WIDE} cm", one_hot, narrow=True),
        Recipe("random forest, four times as large", lambda: forest(60)),
        Recipe("logistic regression, less regularized", lambda: regression(3.0)),
        Recipe("random forest, damaged in storage", lambda: forest(15), damaged=True),
    )


def register_all(registry: str) -> int:
    """Register all versions of `iris-classifier`; prints one line a version. Returns the exit code."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    warnings.filterwarnings("ignore")
    import mlflow
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(registry)
    mlflow.set_experiment("iris")
    features, target = load_iris(return_X_y=True, as_frame=True)
    split = train_test_split(features, target, test_size=0.3, random_state=7, stratify=target)
    narrow = features["petal width (cm)"] < WIDE
    seen = (features[narrow], features[narrow], target[narrow], target[narrow])
    for recipe in recipes():
        version, accuracy = register(mlflow, recipe.name, recipe.make(), seen if recipe.narrow else split)
        if recipe.damaged:
            damage(mlflow, registry, version)
        told = "on what it has seen" if recipe.narrow else ""
        print(f"version {version}: {recipe.name}, accuracy {accuracy:.3f} {told}".rstrip(), flush=True)  # noqa: T201
    return 0


def register(mlflow: Any, name: str, model: Any, split: Any) -> tuple[str, float]:
    """Train, log and register one version with signature and input example; its number and test accuracy."""
    train_x, test_x, train_y, test_y = split
    with mlflow.start_run(run_name=name):
        model.fit(train_x, train_y)
        accuracy = float(model.score(test_x, test_y))
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(train_x, model.predict(train_x)),
            input_example=test_x.head(2),
            skops_trusted_types=[TREE],
            # Given, not inferred: inference would load the model in another process and take half a minute.
            pip_requirements=[f"scikit-learn=={_version('scikit-learn')}", f"numpy=={_version('numpy')}"],
        )
        mlflow.log_metric("accuracy", accuracy)
        version = mlflow.register_model(info.model_uri, MODEL, tags={"validation_status": "approved"})
    return str(version.version), accuracy


def damage(mlflow: Any, registry: str, version: str) -> None:
    """Overwrite the version's model file with half of itself, as a broken disk or a broken upload would."""
    root = mlflow.MlflowClient().get_model_version_download_uri(MODEL, version).removeprefix("mlflow-artifacts:/")
    address = f"{registry}/api/2.0/mlflow-artifacts/artifacts/{root.strip('/')}/model.skops"
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - the demo's own server
        content = answer.read()
    half = content[: len(content) // 2]
    request = urllib.request.Request(address, data=half, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


def _version(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)


if __name__ == "__main__":
    sys.exit(main())
