"""References that move, other than an alias: the newest version of a stage, or with tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core_lab import AT_ONCE, Lab
from headgate_operator.api.model import ByLatest, ByStage, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.api.spec import ModelSpec, Spec
from headgate_operator.core.observed import Unresolved
from model_catalogue import MODEL

STAGE, TAGGED = ByStage("Production"), ByLatest((("validation_status", "approved"),))


def following(ref: ModelRef) -> Lab:
    return Lab(Spec(model=ModelSpec(name=MODEL, ref=ref), rollout=AT_ONCE), version="3").settle()


@pytest.mark.parametrize(
    ("ref", "requested", "shown", "reason"),
    [
        (STAGE, f"{MODEL}/Production", "(Production)", "StageMoved"),
        (TAGGED, f"{MODEL} latest(validation_status=approved)", "(latest)", "NewVersion"),
    ],
)
def test_what_is_asked_for_and_why_a_rollout_began_are_told(
    ref: ModelRef, requested: str, shown: str, reason: str
) -> None:
    lab = following(ref)
    assert lab.status.model is not None
    assert (lab.status.model.requested, lab.status.wanted) == (requested, f"3 {shown}")
    assert lab.condition("ModelResolved").message == f"{requested} is version 3"
    lab.want("4")
    lab.settle()
    assert (lab.stable, lab.status.wanted) == ("4", f"4 {shown}")
    assert str(lab.status.history[-1].reason) == reason


@pytest.mark.parametrize(
    ("ref", "reason"), [(STAGE, Reason.NO_VERSION_IN_STAGE), (TAGGED, Reason.NO_VERSION_WITH_TAGS)]
)
def test_where_nothing_fits_any_more_what_serves_keeps_serving(ref: ModelRef, reason: Reason) -> None:
    lab = following(ref)
    lab.answer = Unresolved(reason, "none")
    lab.wait(900)
    assert (lab.stable, lab.said("Available")) == ("3", ("True", "Serving"))
    assert lab.said("ModelResolved") == ("False", str(reason))
    assert lab.said("Ready") == ("False", str(reason))


def test_a_version_that_fits_another_kind_of_reference_as_well_is_not_started_anew() -> None:
    lab = following(STAGE)
    lab.edit(model=replace(lab.spec.model, ref=TAGGED))
    lab.wait(60)
    assert len(lab.outcomes) == 1
    assert lab.said("UpToDate") == ("True", "AsWanted")
