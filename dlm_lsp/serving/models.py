"""The models that a request can name: the document, and each of its versions."""

from __future__ import annotations

from dataclasses import dataclass

from dlm_lsp.runs.questions import Speaker
from dlm_lsp.runs.versions import Made, named_version
from dlm_lsp.serving.errors import ApiError
from dlm_lsp.store import version_name


@dataclass(frozen=True, slots=True)
class Models:
    """`name` is the current version of the document, `name@v0003` that one, `name@live` what a run has so far."""

    name: str

    def which(self, model: object) -> Speaker:
        """What `model` names. Raises ApiError."""
        if not isinstance(model, str):
            raise ApiError(400, f"`model` must be a string, such as {self.name!r}.", param="model")
        name, at, version = model.rpartition("@")
        if model == self.name or (at and name == self.name and version == "latest"):
            return None
        if at and name == self.name and version == "live":
            return "live"
        number = named_version(version) if at and name == self.name else None
        if number is None:
            raise self.missing(model)
        return number

    def missing(self, model: str) -> ApiError:
        """That there is no such model, and what there is."""
        return ApiError(
            404,
            f"There is no model {model[:200]!r} here. Ask for {self.name!r}, or for a version of it such as "
            f"'{self.name}@v0001' or '{self.name}@live'; GET /v1/models lists them.",
            code="model_not_found",
            param="model",
        )

    def full_name(self, which: Speaker) -> str:
        """What names exactly that: `name@v0003` for 3."""
        if which is None:
            return self.name
        return f"{self.name}@{which if which == 'live' else version_name(which)}"

    def listed(self, versions: tuple[Made, ...], now: float) -> list[dict[str, object]]:
        """The models as the API lists them: what follows the document first, then its versions, the newest first."""
        current = next((version.at for version in versions if version.current), None)
        entries = [(self.name, current), (self.full_name("live"), None)]
        entries += [(self.full_name(version.number), version.at) for version in reversed(versions)]
        return [
            {"id": name, "object": "model", "created": int(at or now), "owned_by": "dlm-lsp"} for name, at in entries
        ]
