"""Names this process shares with the operator.

Every package keeps its own copy and imports no other: one test compares them. Change a name here only together with
its twins.
"""

from typing import Final

GROUP: Final = "headgate.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
PLURAL: Final = "modeldeployments"
KIND: Final = "ModelDeployment"

ANNOTATION_COMMAND: Final = "headgate.dev/command"
