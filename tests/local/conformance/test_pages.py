"""Lists in pages and lists of a certain version: what a token stands for, what is counted, what is out of reach."""

from __future__ import annotations

import base64
import json

import pytest

from kube_manifests import Namespace, configmap, fresh
from kube_wire import Answer, Obj, Wire, eventually

MATCH = "resourceVersionMatch"


class Pages:
    """Five config maps of a label of their own, and lists of them. The token is opaque to clients; only the checks
    take it apart, because nothing else can be made to be too old."""

    def __init__(self, api: Wire, ns: Namespace) -> None:
        self.api, self.ns, self.label = api, ns, fresh("pages")
        self.names = [f"{self.label}-{number}" for number in range(5)]
        for name in self.names:
            api.create(ns("configmaps"), configmap(name, labels={"pages": self.label}))

    def get(self, **query: str | int) -> Answer:
        return self.api.get(self.ns("configmaps"), labelSelector=f"pages={self.label}", **query)

    def read(self, **query: str | int) -> Obj:
        answer = self.get(**query)
        assert answer.status == 200, answer.body
        return dict(answer.body)


def names(listed: Obj) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


def token_of(listed: Obj) -> Obj:
    text = listed["metadata"]["continue"]
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def text_of(token: Obj) -> str:
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


@pytest.fixture
def pages(api: Wire, ns: Namespace) -> Pages:
    return Pages(api, ns)


def test_every_page_shows_the_state_of_the_first(pages: Pages) -> None:
    first = pages.read(limit=2)
    pages.api.delete(pages.ns("configmaps", pages.names[2]))
    pages.api.create(pages.ns("configmaps"), configmap(f"{pages.label}-9", labels={"pages": pages.label}))
    second = pages.read(limit=2, **{"continue": first["metadata"]["continue"]})
    third = pages.read(limit=2, **{"continue": second["metadata"]["continue"]})
    assert names(first) + names(second) + names(third) == pages.names
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1
    assert "continue" not in third["metadata"]


def test_what_is_left_is_counted_unless_there_is_a_selector(api: Wire, ns: Namespace, pages: Pages) -> None:
    total = len(api.read(ns("configmaps"))["items"])
    first = api.get(ns("configmaps"), limit=2).body["metadata"]
    assert first["remainingItemCount"] == total - 2
    second = api.get(ns("configmaps"), limit=2, **{"continue": first["continue"]}).body["metadata"]
    assert second["remainingItemCount"] == total - 4
    assert "remainingItemCount" not in pages.read(limit=2)["metadata"]
    assert (
        "remainingItemCount"
        not in api.get(ns("configmaps"), limit=1, fieldSelector="metadata.name!=x").body["metadata"]
    )


def test_a_limit_that_fits_leaves_no_token(pages: Pages) -> None:
    for limit in (0, 5, 6):
        listed = pages.read(limit=limit)
        assert names(listed) == pages.names
        assert "continue" not in listed["metadata"]


def test_a_limit_must_be_a_number(pages: Pages) -> None:
    answer = pages.get(limit="two")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert answer.message == 'strconv.ParseInt: parsing "two": invalid syntax'


def test_a_token_goes_on_from_now_when_it_says_so(pages: Pages) -> None:
    token = token_of(pages.read(limit=2))
    pages.api.delete(pages.ns("configmaps", pages.names[2]))
    listed = pages.read(**{"continue": text_of({**token, "rv": -1})})
    assert names(listed) == pages.names[3:]


def test_an_expired_token_comes_with_one_that_goes_on_from_now(pages: Pages) -> None:
    token = token_of(pages.read(limit=2))
    answer = pages.get(**{"continue": text_of({**token, "rv": 1})})
    if answer.status == 200:
        # This server has forgotten nothing yet: it is younger than five minutes.
        assert names(answer.body) == []
        return
    assert (answer.status, answer.reason) == (410, "Expired")
    assert answer.message.startswith("The provided continue parameter is too old to display a consistent list result.")
    assert token_of(answer.body)["rv"] == -1
    assert names(pages.read(**{"continue": answer.body["metadata"]["continue"]})) == pages.names[2:]


@pytest.mark.parametrize("token", ["!!", "YWJj", text_of({"v": "meta.k8s.io/v1", "rv": 0, "start": "a"})])
def test_a_token_that_is_none_is_a_bad_request(pages: Pages, token: str) -> None:
    answer = pages.get(**{"continue": token})
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "continue key is not valid" in answer.message


def test_a_token_and_a_version_exclude_each_other(pages: Pages) -> None:
    first = pages.read(limit=2)["metadata"]
    answer = pages.get(resourceVersion=first["resourceVersion"], **{"continue": first["continue"]})
    assert (answer.status, answer.message) == (400, "specifying resource version is not allowed when using continue")


# --- lists of a version ---------------------------------------------------------------------------------------------


def test_an_exact_version_shows_what_was_then(pages: Pages) -> None:
    before = pages.read()["metadata"]["resourceVersion"]
    pages.api.delete(pages.ns("configmaps", pages.names[0]))
    then = pages.read(resourceVersion=before, **{MATCH: "Exact"})
    assert (names(then), then["metadata"]["resourceVersion"]) == (pages.names, before)
    # A version with a limit means the same, without a word.
    assert names(pages.read(resourceVersion=before, limit=9)) == pages.names
    # Anything that is not older will do for the others: a real server asks its cache, which is a moment behind.
    for query in ({MATCH: "NotOlderThan"}, {}):
        eventually(
            lambda query=query: names(pages.read(resourceVersion=before, **query)) == pages.names[1:],
            "the deletion is seen",
        )


def test_the_exact_state_of_an_object_that_changed_is_the_old_one(api: Wire, ns: Namespace, pages: Pages) -> None:
    before = pages.read()["metadata"]["resourceVersion"]
    api.patch(ns("configmaps", pages.names[0]), {"data": {"a": "1"}})
    [old, *_] = pages.read(resourceVersion=before, **{MATCH: "Exact"})["items"]
    assert "data" not in old


def test_a_version_that_was_forgotten_is_410(pages: Pages) -> None:
    answer = pages.get(resourceVersion=1, **{MATCH: "Exact"})
    if answer.status == 200:
        # This server has forgotten nothing yet: it is younger than five minutes.
        assert names(answer.body) == []
        return
    assert (answer.status, answer.reason) == (410, "Expired")
    assert answer.message == "The resourceVersion for the provided list is too old."


def test_a_version_of_the_future_times_out(api: Wire, ns: Namespace, pages: Pages) -> None:
    future = int(pages.read()["metadata"]["resourceVersion"]) + 1_000_000
    answer = api.get(ns("configmaps", pages.names[0]), resourceVersion=future)
    assert (answer.status, answer.reason) == (504, "Timeout")
    assert answer.message.startswith(f"Timeout: Too large resource version: {future}, current: ")
    [cause] = answer.causes
    assert cause == {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    assert answer.body["details"]["retryAfterSeconds"] == 1


def test_a_version_must_be_a_number(pages: Pages) -> None:
    answer = pages.get(resourceVersion="now")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert 'resourceVersion: Invalid value: "now"' in answer.message


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({MATCH: "Exact"}, "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ({MATCH: "Exact", "resourceVersion": 0}, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ({MATCH: "Spoon", "resourceVersion": 1}, 'Unsupported value: "Spoon": supported values: "Exact", "NotOlder'),
        ({MATCH: "Exact", "continue": "a"}, "Forbidden: resourceVersionMatch is forbidden when continue is provided"),
        (
            {"watch": "true", MATCH: "NotOlderThan", "resourceVersion": 1},
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        ({"watch": "true", "continue": "a"}, "resourceVersionMatch is forbidden when continue is provided"),
    ],
    ids=["no version", "exactly zero", "another word", "with a token", "of a watch", "a watch with a token"],
)
def test_a_match_that_makes_no_sense_is_refused(pages: Pages, query: dict[str, str | int], why: str) -> None:
    answer = pages.get(**query)
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {MATCH})
    assert why in answer.message
