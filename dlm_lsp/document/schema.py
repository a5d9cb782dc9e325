"""The frontmatter's schema, version 15: every key with its type, default, bounds and meaning.

Values are taken as leniently as the format's reference implementation takes them (pydantic's lax mode: "8",
8.0 and true are integers, 2e-4 is a number even where YAML 1.1 reads text). `model_fields_set` tells which
keys were written.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

SCHEMA_VERSION = 15
ADAPTER_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

_DLM_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")

AdapterKind = Literal["lora", "qlora", "dora"]
TargetModules = Literal["auto"] | tuple[str, ...]
AutoCount = Literal["auto"] | Annotated[int, Field(ge=1)]


class _Block(BaseModel):
    """A mapping of known keys. Mappings inside are to be read only. No number is infinite: nothing could train with it,
    and no two hashes of it would have to agree.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def conflict(*places: tuple[tuple[str, ...], str]) -> PydanticCustomError:
    """An error about keys below the validated one: (relative key path, sentence) for each."""
    return PydanticCustomError("conflicting_keys", "keys do not go together", {"places": places})


class PreferenceHyperparams(_Block):
    beta: float = Field(default=0.1, ge=0, le=1, description="How strongly DPO holds the model to its reference.")
    alpha: float = Field(default=0.1, ge=0, le=1, description="Weight of ORPO's odds-ratio term beside the plain loss.")
    learning_rate: float = Field(default=5e-6, gt=0, description="Learning rate of the preference phase.")
    num_epochs: int = Field(default=1, ge=1, description="Passes over the preference records.")


class PreferenceConfig(_Block):
    enabled: bool = Field(
        default=False,
        description="Whether a preference phase follows. Preference sections turn it on unless written.",
    )
    method: Literal["dpo", "orpo"] = Field(default="dpo", description="The preference method.")
    hyperparams: PreferenceHyperparams = Field(
        default_factory=PreferenceHyperparams, description="Settings of the preference method."
    )
    loss_type: Literal["sigmoid", "hinge", "ipo"] = Field(default="sigmoid", description="The form of DPO's loss.")
    reference: Literal["base", "pre_adapter"] = Field(
        default="pre_adapter", description="What DPO compares with: the bare base, or the adapter before the phase."
    )


class CptConfig(_Block):
    schedule: Literal["auto", "dapt", "sft"] = Field(
        default="auto",
        description="Learning rate curve for prose. `auto` picks `dapt` where prose is most of the document.",
    )
    embed_warmup_steps: int = Field(
        default=0,
        ge=0,
        description="Steps at the start in which embeddings are trained as well. They make adapters large.",
    )


class GateConfig(_Block):
    enabled: bool = Field(default=False, description="Whether a small network routes prompts among the named adapters.")
    hidden_proj_dim: int = Field(default=64, ge=8, le=2048, description="Width of the gate's hidden layer.")
    steps: int = Field(default=200, ge=1, le=10_000, description="Optimizer steps for the gate.")
    lr: float = Field(default=3e-4, gt=0, le=1, description="Learning rate of the gate.")
    cold_start_floor: int = Field(
        default=4, ge=1, le=1024, description="Sections that each adapter needs before the gate is trained at all."
    )
    entropy_lambda: float = Field(
        default=0.01, ge=0, le=1, description="How strongly the gate is kept from using one adapter only."
    )


class CacheConfig(_Block):
    enabled: bool = Field(default=True, description="Whether tokenized sections are kept on disk.")
    max_bytes: int = Field(default=10 * 2**30, ge=1, description="Largest size of the cache on disk, in bytes.")
    prune_older_than_days: int = Field(default=90, ge=1, description="Days after which unused entries may be removed.")


class AudioConfig(_Block):
    auto_resample: bool = Field(
        default=False, description="Whether audio of another sample rate is converted instead of refused."
    )


class AdapterConfig(_Block):
    adapter: AdapterKind = Field(default="lora", description="Kind of the named adapter.")
    lora_r: int = Field(default=8, ge=1, le=256, description="Rank of the named adapter.")
    lora_alpha: int = Field(
        default=16, ge=1, description="Scale of the named adapter: updates are multiplied by alpha / rank."
    )
    lora_dropout: float = Field(default=0.05, ge=0, le=0.5, description="Dropout on the input of the named adapter.")
    target_modules: TargetModules = Field(default="auto", description="Modules that the named adapter changes.")
    learning_rate: float = Field(default=2e-4, gt=0, description="Learning rate of the named adapter.")


class SourceDirective(_Block):
    path: str = Field(
        min_length=1,
        description="A file or directory to learn from, relative to the document unless absolute.",
    )
    include: tuple[str, ...] = Field(
        default=("**/*",), description="Glob patterns of files to take, relative to `path`."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Glob patterns of files to leave out.")
    max_bytes_per_file: int | None = Field(default=None, ge=1, description="Larger files are left out. In bytes.")
    max_files: int | None = Field(default=None, ge=1, description="At most this many files are taken.")


class TrainingConfig(_Block):
    adapter: AdapterKind = Field(
        default="lora", description="Kind of adapter: LoRA, LoRA over a quantised base, or weight-decomposed LoRA."
    )
    lora_r: int = Field(default=8, ge=1, le=256, description="Rank of the adapter's matrices: its capacity and size.")
    lora_alpha: int = Field(
        default=16, ge=1, description="Scale of the adapter: updates are multiplied by alpha / rank."
    )
    lora_dropout: float = Field(
        default=0.05, ge=0, le=0.5, description="Dropout on the adapter's input while training."
    )
    target_modules: TargetModules = Field(
        default="auto",
        description="Names of the modules that the adapter changes. `auto` is the base model's own choice.",
    )
    sequence_len: int = Field(default=2048, ge=64, le=32768, description="Longest training row, in tokens.")
    micro_batch_size: AutoCount = Field(default="auto", description="Rows per forward pass. `auto` fits the machine.")
    grad_accum: AutoCount = Field(
        default="auto", description="Forward passes per optimizer step. `auto` fits the machine."
    )
    learning_rate: float = Field(default=2e-4, gt=0, description="Peak learning rate.")
    num_epochs: int = Field(default=3, ge=1, description="Passes over the whole document in a full training.")
    optimizer: Literal["adamw_torch", "adamw_bnb_8bit", "paged_adamw_8bit", "galore_adamw", "galore_adamw_8bit"] = (
        Field(default="adamw_torch", description="The optimizer that updates the adapter's weights.")
    )
    lr_scheduler: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Curve of the learning rate after warm-up."
    )
    warmup_ratio: float = Field(
        default=0.1, ge=0, le=0.5, description="Part of the steps in which the learning rate rises to its peak."
    )
    precision: Literal["bf16", "fp16", "fp32"] | None = Field(
        default=None, description="Number format of the computation. Nothing written: what the machine does best."
    )
    seed: int = Field(default=42, description="Seed of all random choices.")
    preference: PreferenceConfig = Field(
        default_factory=PreferenceConfig, description="Learning from preference sections (DPO, ORPO)."
    )
    cpt: CptConfig = Field(default_factory=CptConfig, description="Continued pretraining on prose.")
    gate: GateConfig = Field(default_factory=GateConfig, description="A learned gate over the named adapters.")
    cache: CacheConfig = Field(default_factory=CacheConfig, description="The cache of tokenized sections.")
    audio: AudioConfig = Field(default_factory=AudioConfig, description="Treatment of audio sections.")
    adapters: dict[str, AdapterConfig] | None = Field(
        default=None,
        description="Named adapters with their own settings. A section chooses one: `::instruction#name::`.",
    )
    sources: tuple[SourceDirective, ...] | None = Field(
        default=None, description="Files and directories that are learned as prose beside the document."
    )
    sources_policy: Literal["permissive", "strict"] = Field(
        default="permissive", description="`strict` keeps sources inside the document's directory."
    )

    @field_validator("adapters")
    @classmethod
    def _check_names(cls, adapters: dict[str, AdapterConfig] | None) -> dict[str, AdapterConfig] | None:
        if adapters is None:
            return None
        if not adapters:
            raise conflict(((), "names no adapter; declare one, or remove the key"))
        bad = [name for name in adapters if not ADAPTER_NAME.fullmatch(name)]
        if bad:
            rule = "is no adapter name: a lower-case letter, then at most 31 of a-z, 0-9 and _"
            raise conflict(*(((name,), rule) for name in bad))
        return adapters

    @model_validator(mode="after")
    def _check_adapters(self) -> TrainingConfig:
        places: list[tuple[tuple[str, ...], str]] = []
        if self.gate.enabled and len(self.adapters or {}) < 2:
            places.append((("gate", "enabled"), "needs two or more named adapters in `training.adapters`"))
        if self.adapters is not None:
            own: dict[str, Any] = {name: field.default for name, field in AdapterConfig.model_fields.items()}
            places += [
                (
                    (name,),
                    "must stay at its default beside `training.adapters`; set it per named adapter",
                )
                for name, default in own.items()
                if getattr(self, name) != default
            ]
        if places:
            raise conflict(*places)
        return self


class ExportConfig(_Block):
    default_quant: Literal["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"] = Field(
        default="Q4_K_M", description="GGUF quantisation when exporting."
    )
    default_temperature: float | None = Field(
        default=None, gt=0, le=2, description="Sampling temperature written into an exported model."
    )
    default_top_p: float | None = Field(
        default=None, gt=0, le=1, description="Nucleus sampling bound written into an exported model."
    )


class Frontmatter(_Block):
    """The validated frontmatter: a frozen value."""

    dlm_id: str = Field(
        description="The document's permanent name, which finds what it has learned: a ULID, "
        "26 characters of 0-9 and A-Z without I, L, O and U. Never change it, and never share it between documents."
    )
    dlm_version: int = Field(
        default=SCHEMA_VERSION,
        ge=1,
        le=SCHEMA_VERSION,
        description="Version of the format that the document was written for.",
    )
    base_model: str = Field(
        min_length=1,
        description="The model that is taught: a known name, `hf:org/name`, or a local directory.",
    )
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="How the document is learned.")
    export: ExportConfig = Field(default_factory=ExportConfig, description="Defaults for exporting the result.")
    system_prompt: str | None = Field(default=None, description="The system message that goes before every exchange.")

    @field_validator("dlm_id")
    @classmethod
    def _check_id(cls, value: str) -> str:
        if not _DLM_ID.fullmatch(value):
            raise conflict(((), "must be a ULID: 26 characters of 0-9 and upper-case A-Z without I, L, O and U"))
        return value
