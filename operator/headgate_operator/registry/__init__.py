"""The only speaker of MLflow's REST API: which version answers a reference, and is it still the same version.

Plain REST, because `import mlflow` costs 165 MiB. The poller is a hint: it wakes the deployments whose answer changed.
Trouble of a registry is an answer like any other, with a reason of the closed list; nothing here ever stops what
serves.
"""

from headgate_operator.egress import AllowList, NotAllowedError, normalised
from headgate_operator.registry.credentials import Credentials, Folder
from headgate_operator.registry.door import RegistryDoor

__all__ = ["AllowList", "Credentials", "Folder", "NotAllowedError", "RegistryDoor", "normalised"]
