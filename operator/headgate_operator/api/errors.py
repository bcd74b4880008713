"""A field of a ModelDeployment that cannot be understood, named as the user wrote it."""


class SpecError(ValueError):
    """`path` is the field (`spec.model.alias`), `why` says what to do about it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why
