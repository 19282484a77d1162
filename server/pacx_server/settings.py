"""Every setting of the server, once: `PACX_<NAME>` in the environment, or `pacx.toml`."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pacx.engines.protocol import ENGINES, EngineChoice, Precision
from pacx.errors import SettingsError
from pacx_server.evaluations.urgency import Urgency

HttpPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_./:\-]*$")]
Named = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Scope = Literal["predict", "evaluate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MEBIBYTE = 2**20
DAY_S = 86_400


class ApiKey(BaseModel):
    """One caller; the key itself is never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the key, in hexadecimal; the key must be random, 32 bytes or more."
    )
    scopes: tuple[Scope, ...] = Field(("predict",), min_length=1)
    images_per_minute: int | None = Field(None, ge=1, description="Quota; None means no limit.")


class OidcIssuer(BaseModel):
    """An OpenID Connect provider whose bearer tokens are accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Named = Field(description="Must equal the token's `iss`.")
    audience: Named = Field(description="Must be in the token's `aud`.")
    jwks_url: HttpUrl = Field(description="Where the provider publishes its signing keys.")
    images_per_minute: int | None = Field(None, ge=1, description="Quota of each caller.")
    refresh_cooldown_s: float = Field(
        30,
        ge=0,
        allow_inf_nan=False,
        description="Least time between two fetches of keys that unknown tokens cause.",
    )


class Settings(BaseSettings):
    """How the server runs; what is not said here has no switch."""

    model_config = SettingsConfigDict(
        env_prefix="PACX_",
        toml_file="pacx.toml",
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    bundles: Annotated[tuple[str, ...], NoDecode] = Field(
        ("pacx-small",),
        min_length=1,
        description="Names or folders of bundles, separated by commas; the first is the default.",
    )
    trusted_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Public keys, separated by commas; a bundle must be signed by one of them.",
    )
    engine: EngineChoice = Field(
        "auto", description=f"{', '.join(f'`{name}`' for name in ENGINES)}, or `auto`."
    )
    precision: Precision | None = Field(None, description="None lets the engine choose.")
    device: str = Field(
        "cpu",
        description="Where the engine runs, or Triton's address; there is no silent fallback.",
    )
    engine_threads: int | None = Field(
        None, ge=1, le=1024, description="None leaves it to the engine."
    )

    max_file_bytes: int = Field(64_000_000, ge=1, description="Largest file.")
    max_request_bytes: int = Field(256_000_000, ge=1, description="Largest multi-file body.")
    max_files: int = Field(64, ge=1, description="Files of one request.")
    max_pixels: int = Field(64_000_000, ge=1, description="Rows times columns of one picture.")
    header_timeout_s: float = Field(10, gt=0, description="From first byte to end of a head.")
    body_timeout_s: float = Field(30, gt=0, description="From request line to end of body.")
    send_timeout_s: float = Field(
        60, gt=0, description="A client that takes nothing of its answer is left."
    )
    refuse_lateral: bool = Field(False, description="Answer lateral views with 422.")

    max_batch: int = Field(8, ge=1, le=1024, description="Images the engine runs at once.")
    max_wait_ms: float = Field(
        0,
        ge=0,
        le=60_000,
        description="Wait of an idle engine for batch mates; 0 is right for most.",
    )
    queue_count: int = Field(128, ge=1, description="Images admitted and not yet answered.")
    queue_bytes: int = Field(
        1024 * MEBIBYTE, ge=1, description="Bytes of uploads and of films to draw, in work."
    )
    deadline_s: float = Field(30, gt=0, description="From a complete body to the answer.")
    drain_s: int = Field(
        30, ge=1, le=DAY_S, description="What SIGTERM leaves to requests in flight."
    )

    decode_workers: int = Field(
        default_factory=lambda: max(2, os.cpu_count() or 1),
        ge=1,
        le=1024,
        description="Processes.",
    )
    decode_memory_bytes: int = Field(
        2048 * MEBIBYTE,
        ge=64 * MEBIBYTE,
        le=MEBIBYTE**2,
        description="Address space of one decoding.",
    )
    decode_cpu_s: int = Field(10, ge=1, le=DAY_S, description="Processor time of one decoding.")
    decode_deadline_s: float = Field(15, gt=0, description="Wall-clock time of one decoding.")
    decode_recycle_after: int = Field(1000, ge=1, description="Files before a fresh process.")

    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = Field(
        (), description="Callers that are let in by key."
    )
    oidc: Annotated[OidcIssuer | None, NoDecode] = Field(
        None, description="Callers that are let in by bearer token."
    )
    allow_unauthenticated: bool = Field(
        False, description="Serve beyond loopback with neither keys nor TLS."
    )
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate chain.")
    tls_key: Path | None = Field(None, description="PEM file of the private key.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that browsers may call from, separated by commas."
    )

    evaluation_directory: Path | None = Field(
        None,
        description="Where evaluations are queued and kept; None is below the user's state folder.",
    )
    evaluation_root: Path | None = Field(
        None, description="Callers may evaluate manifests below this folder instead of uploading."
    )
    evaluation_url: str | None = Field(
        None, description="Address at which evaluations ask this server; None is its own."
    )
    evaluation_workers: int = Field(
        1, ge=0, description="Evaluations at once; 0 leaves them to other servers of the folder."
    )
    evaluation_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Of the time, for evaluations while others ask; 1 lets their films follow.",
    )
    evaluation_urgency: Urgency = Field(
        "idle",
        description="What evaluations take of busy processors: idle, what nobody else wants; low, "
        "a small share.",
    )
    evaluation_queue: int = Field(64, ge=1, description="Evaluations that wait or run.")
    evaluation_queue_per_caller: int = Field(
        8, ge=1, description="Evaluations of one caller that wait or run."
    )
    evaluation_upload_bytes: int = Field(
        4096 * MEBIBYTE, ge=1, description="Largest archive of an evaluation."
    )
    evaluation_unpacked_bytes: int = Field(
        16384 * MEBIBYTE, ge=1, description="All files of an archive together."
    )
    evaluation_files: int = Field(100_000, ge=1, description="Files of an archive.")
    evaluation_upload_s: float = Field(3600, gt=0, description="From request line to end of body.")
    evaluation_deadline_s: float = Field(
        DAY_S, gt=0, description="Longest that one evaluation may run."
    )
    evaluation_retention_s: float = Field(
        604_800, ge=0, description="How long a report is kept; films go when the evaluation ends."
    )

    predict_route: HttpPath | None = Field(
        None, description="Another address of the default model in KServe V1's format."
    )
    health_route: HttpPath | None = Field(None, description="Another address of /health/ready.")

    audit_log: Path | None = Field(None, description="JSON lines: who asked what, when.")
    audit_key: SecretStr | None = Field(
        None,
        min_length=1,
        description="Keys the pseudonyms of studies in the audit log (HMAC-SHA-256).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto` writes JSON unless standard error is a terminal."
    )

    @field_validator("bundles", "trusted_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("api_keys", "oidc", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError("JSON is expected, as docs/operations.md shows it") from error

    @field_validator("api_keys")
    @classmethod
    def _distinct(cls, keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        """Callers who share a name share quota and evaluations; of two with one key one is lost."""
        seen: dict[str, str] = {}
        for key in keys:
            if key.name in seen.values():
                raise ValueError(f"two keys are called {key.name}; give each a name of its own")
            if key.sha256 in seen:
                raise ValueError(
                    f"{seen[key.sha256]} and {key.name} have the same hash; give each its own key"
                )
            seen[key.sha256] = key.name
        return keys

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over `pacx.toml`."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, toml, _VertexSource(settings_cls)

    @property
    def authenticated(self) -> bool:
        """Whether callers have to say who they are."""
        return bool(self.api_keys) or self.oidc is not None

    @property
    def encrypted(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_certificate is not None

    def check_exposure(self) -> None:
        """Refuse to offer radiographs to a network without any protection.

        Raises:
            SettingsError: The address is not loopback, and there are neither keys nor TLS.
        """
        safe = self.authenticated or self.encrypted or self.allow_unauthenticated
        if not safe and not _is_loopback(self.host):
            raise SettingsError(
                f"Listening on {self.host} offers the server to others without keys or TLS. Set "
                "PACX_API_KEYS or PACX_OIDC, or PACX_TLS_CERTIFICATE and PACX_TLS_KEY, or say "
                "PACX_ALLOW_UNAUTHENTICATED=1."
            )


class _VertexSource(PydanticBaseSettingsSource):
    """What Vertex AI tells its custom containers: port and routes."""

    VARIABLES: ClassVar = {
        "port": "AIP_HTTP_PORT",
        "predict_route": "AIP_PREDICT_ROUTE",
        "health_route": "AIP_HEALTH_ROUTE",
    }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """The variable of one field, where there is one."""
        del field
        return os.environ.get(self.VARIABLES.get(field_name, "")), field_name, False

    def __call__(self) -> dict[str, object]:
        """All variables that are set."""
        found = {field: os.environ.get(name) for field, name in self.VARIABLES.items()}
        return {field: value for field, value in found.items() if value is not None}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
