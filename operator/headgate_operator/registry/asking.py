"""Asking one registry: many questions by two searches, what those leave open one by one.

A search leaves out what we may not see, and an empty answer looks like "no such model"; so "not found" is only ever
said after a question for exactly that model or version was answered with RESOURCE_DOES_NOT_EXIST.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import yaml

from headgate_operator.api.model import ByAlias, ByLatest, ByStage, ByVersion, Identity, ModelRef
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Resolved, Unresolved
from headgate_operator.registry import facts
from headgate_operator.registry.credentials import Credentials
from headgate_operator.registry.facts import Question
from headgate_operator.registry.rest import NotFoundError, RegistryError, Rest

MODELS_A_PAGE = "1000"
VERSIONS_A_PAGE = "1000"
VERSIONS_A_LOOK = "50"
LARGEST_EXAMPLE = 8 * 1024 * 1024
LARGEST_MLMODEL = 128 * 1024
AT_ONCE = 4


class Asking:
    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def all(self, questions: Iterable[Question], credentials: Credentials) -> dict[Question, Resolution]:
        """An answer to every question. The first trouble answers all that is still open: one dead registry costs one
        time limit, not one for each model."""
        wanted = sorted(set(questions), key=str)
        answers: dict[Question, Resolution] = {}
        try:
            plain = [q for q in wanted if facts.is_plain(q[0])]
            for names in facts.chunks(name for name, _ in plain):
                answers |= {q: Resolved(i) for q, i in (await self._chunk(names, plain, credentials)).items()}
            left = [q for q in wanted if q not in answers]
            for start in range(0, len(left), AT_ONCE):
                batch = left[start : start + AT_ONCE]
                replies = await asyncio.gather(*(self.one(name, ref, credentials) for name, ref in batch))
                answers |= dict(zip(batch, replies, strict=True))
        except RegistryError as error:
            answers |= {q: error.answer for q in wanted if q not in answers}
        return answers

    async def one(self, name: str, ref: ModelRef, credentials: Credentials) -> Resolution:
        try:
            match ref:
                case ByAlias(alias):
                    return await self._by_alias(name, alias, credentials)
                case ByVersion(version):
                    return await self._by_version(name, version, credentials)
                case ByStage() | ByLatest():
                    return await self._by_search(name, ref, credentials)
        except RegistryError as error:
            return error.answer

    async def example(self, identity: Identity, credentials: Credentials) -> Example:
        """RegistryError where it cannot be read now."""
        name, version = identity.name, identity.version
        try:
            present = await self._version(name, version, credentials)
        except NotFoundError:
            present = None
        if present is None or (present.source, present.created_at) != (identity.source, identity.created_at):
            # Its number now names something else: that one's example would prove nothing about ours.
            raise RegistryError(Reason.VERSION_NOT_FOUND, f"{name} version {version} is no longer what it was")
        try:
            raw = await self._rest.artifact(name, version, "MLmodel", credentials, largest=LARGEST_MLMODEL)
            # Beside the loop: a long one takes seconds, and a lease must be renewed meanwhile. Not by the C loader: a
            # deeply nested file ends the whole process there, and is an error here.
            path = facts.serving_example_path(await asyncio.to_thread(yaml.safe_load, raw))
        except (NotFoundError, yaml.YAMLError, *facts.STRANGE):
            message = f"MLmodel of {name} version {version} cannot be read"
            raise RegistryError(Reason.REGISTRY_UNREACHABLE, message) from None
        if path is None:
            return Example(None)
        try:
            return Example(await self._rest.artifact(name, version, path, credentials, largest=LARGEST_EXAMPLE))
        except NotFoundError:
            return Example(None)

    async def _chunk(
        self, names: str, questions: Sequence[Question], credentials: Credentials
    ) -> dict[Question, Identity]:
        models: dict[str, Any] = {}
        query = {"filter": names, "max_results": MODELS_A_PAGE}
        for model in await self._pages("registered-models/search", "registered_models", query, credentials):
            models[str(model.get("name"))] = model
        query = {"filter": names, "max_results": VERSIONS_A_PAGE, "order_by": "version_number DESC"}
        versions = await self._pages("model-versions/search", "model_versions", query, credentials)
        return facts.found(self._rest.uri, questions, models, versions)

    async def _pages(
        self, path: str, key: str, query: Mapping[str, str], credentials: Credentials
    ) -> list[dict[str, Any]]:
        return [item async for page in self._each_page(path, key, query, credentials) for item in page]

    async def _each_page(
        self, path: str, key: str, query: Mapping[str, str], credentials: Credentials
    ) -> AsyncIterator[list[dict[str, Any]]]:
        token = ""
        while True:
            try:
                page = await self._rest.call(path, {**query, **({"page_token": token} if token else {})}, credentials)
            except NotFoundError:
                return
            found = page.get(key) or []
            if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
                raise self._strange()
            yield found
            token = page.get("next_page_token") or ""
            if not token:
                return

    async def _by_alias(self, name: str, alias: str, credentials: Credentials) -> Resolution:
        try:
            model = await self._model(name, credentials)
        except NotFoundError:
            return Unresolved(Reason.MODEL_NOT_FOUND, f"the registry has no model {name}")
        try:
            number = facts.aliases_of(model).get(alias)
        except facts.STRANGE:
            raise self._strange() from None
        if number is None:
            return Unresolved(Reason.ALIAS_NOT_FOUND, f"model {name} has no alias {alias}")
        try:
            return Resolved(await self._version(name, number, credentials))
        except NotFoundError:
            return Unresolved(Reason.VERSION_NOT_FOUND, f"model {name} has no version {number}")

    async def _by_version(self, name: str, version: str, credentials: Credentials) -> Resolution:
        try:
            return Resolved(await self._version(name, version, credentials))
        except NotFoundError:
            pass
        try:
            await self._model(name, credentials)
        except NotFoundError:
            return Unresolved(Reason.MODEL_NOT_FOUND, f"the registry has no model {name}")
        return Unresolved(Reason.VERSION_NOT_FOUND, f"model {name} has no version {version}")

    async def _by_search(self, name: str, ref: ByStage | ByLatest, credentials: Credentials) -> Resolution:
        asked = facts.search_for(name)
        if asked is None:
            return Unresolved(Reason.MODEL_NOT_FOUND, f"the registry cannot be searched for {name}: name a version")
        query = {"filter": asked, "max_results": VERSIONS_A_LOOK, "order_by": "version_number DESC"}
        try:
            # Newest first: of a thousand versions the first few are usually all that is read.
            async for page in self._each_page("model-versions/search", "model_versions", query, credentials):
                if (version := facts.newest(page, ref)) is not None:
                    return Resolved(self._identity(version))
        except facts.STRANGE:
            raise self._strange() from None
        try:
            await self._model(name, credentials)
        except NotFoundError:
            return Unresolved(Reason.MODEL_NOT_FOUND, f"the registry has no model {name}")
        if isinstance(ref, ByStage):
            return Unresolved(Reason.NO_VERSION_IN_STAGE, f"no version of model {name} is in stage {ref.stage}")
        tags = ", ".join(f"{key}={value}" for key, value in ref.tags)
        return Unresolved(Reason.NO_VERSION_WITH_TAGS, f"no version of model {name} has {tags or 'been registered'}")

    async def _model(self, name: str, credentials: Credentials) -> dict[str, Any]:
        body = await self._rest.call("registered-models/get", {"name": name}, credentials)
        model = body.get("registered_model")
        if not isinstance(model, dict):
            raise self._strange()
        return model

    async def _version(self, name: str, version: str, credentials: Credentials) -> Identity:
        body = await self._rest.call("model-versions/get", {"name": name, "version": version}, credentials)
        return self._identity(body.get("model_version"))

    def _identity(self, version: Any) -> Identity:
        try:
            return facts.identity_of(self._rest.uri, version)
        except facts.STRANGE:
            raise self._strange() from None

    def _strange(self) -> RegistryError:
        return RegistryError(Reason.REGISTRY_UNREACHABLE, f"{self._rest.uri} answers, but not as an MLflow registry")
