"""The autoscaler of the cluster and a ModelDeployment: it finds it by its scale subresource and sets its replicas.

No metrics are served here. An autoscaler without them keeps within its bounds, and says that it has none.
"""

from cluster_operator import ready
from cluster_subject import Obj, Subject
from cluster_trial import Trial

CANARY = {
    "replicas": 2,
    "rollout": {"strategy": "Canary", "steps": [{"weight": 50}]},
    "analysis": {"interval": "2s", "minRequests": 1000000},
}


def test_an_autoscaler_sets_the_replicas_in_the_middle_of_a_canary(iris: Subject, trial: Trial) -> None:
    iris.goes_live("1", **CANARY)
    new = iris.release("2", alias=False)
    with trial.loaded() as load:
        iris.move_alias(new)
        iris.waits_for("Progressing", "True", "WaitingForEvidence")
        load.until(lambda: load.by_version().get(new, 0) > 20, "version 2 answers its share")
        for low, high, replicas in ((4, 6, 4), (1, 3, 3)):
            iris.kubectl("apply", "-f", "-", given=autoscaler(iris, low, high))
            iris.until(lambda n=replicas: iris.read()["spec"]["replicas"] == n, f"replicas are set to {replicas}")
            iris.until(
                lambda n=replicas: said_by_autoscaler(iris).get("desiredReplicas") == n, "the autoscaler says so"
            )
            iris.until(lambda n=replicas: settled(iris, new, n), f"{replicas} pods of both versions have traffic")
            load.goes_on()
        assert iris.status["candidate"]["version"] == new, "the canary goes on"
        # It has come as far as to ask for the metrics of the pods that the selector names.
        iris.until(lambda: at_rest(iris), "the autoscaler reads the scale and finds no metrics")
        with trial.transition(new, "1", rollback=True):
            iris.headgate("abort")
            iris.serves("1")
        iris.has_pods(3)
        load.goes_on()
    trial.remark("replicas 2, 4, then 3, by the autoscaler alone, while both versions have traffic")
    trial.rests_with(Ready="False", UpToDate="False", Stalled="True")


def autoscaler(iris: Subject, low: int, high: int) -> Obj:
    target = {"type": "Utilization", "averageUtilization": 80}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": iris.name, "namespace": iris.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "headgate.dev/v1alpha1", "kind": "ModelDeployment", "name": iris.name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def said_by_autoscaler(iris: Subject) -> Obj:
    path = f"/apis/autoscaling/v2/namespaces/{iris.namespace}/horizontalpodautoscalers/{iris.name}"
    return dict(iris.lab.wire.read(path).get("status", {}))


def at_rest(iris: Subject) -> bool:
    said = {c["type"]: (c["status"], c["reason"]) for c in said_by_autoscaler(iris).get("conditions", [])}
    active = said.get("ScalingActive")
    return said.get("AbleToScale") == ("True", "SucceededGetScale") and active == ("False", "FailedGetResourceMetric")


def settled(iris: Subject, new: str, replicas: int) -> bool:
    """All pods are ready, both versions have some, and the scale subresource counts and selects them all."""
    pods, status = iris.pods(), iris.status
    names = sorted(pod["metadata"]["name"] for pod in pods)
    return (
        len(names) >= replicas
        and all(ready(pod) for pod in pods)
        and bool(iris.pods(new))
        and bool(iris.pods("1"))
        and status["replicas"] == len(names)
        and names == with_traffic(iris)
    )


def with_traffic(iris: Subject) -> list[str]:
    """Names of the pods that the selector of the scale subresource selects."""
    scale = iris.lab.wire.read(f"{iris.path('ModelDeployment', iris.name)}/scale")
    listed = iris.kubectl("get", "pods", f"--selector={scale['status']['selector']}", "--output=name")
    return sorted(name.removeprefix("pod/") for name in listed.split())
