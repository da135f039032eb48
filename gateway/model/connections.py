"""How the gateway reaches Kafka: one validated shape for configuration, environment, demo and tests."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class KafkaTopics(BaseModel):
    """Name the three topics shared with upstream; a counterparty's topics are in its profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trade_events: str = Field(default="trade.events", min_length=1)
    settlement_status: str = Field(default="settlement.status", min_length=1)
    exceptions: str = Field(default="gateway.exceptions", min_length=1)


class KafkaSettings(BaseModel):
    """State where the brokers are, how to prove who we are, and how long to wait. Times are seconds, sizes bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str = Field(
        default="localhost:9092", min_length=1, description="host:port, several separated by commas"
    )
    client_id: str = "gateway"
    group: str = Field(default="gateway", description="consumer group that reads the trade events")
    topics: KafkaTopics = KafkaTopics()

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_ca_file: str | None = Field(
        default=None, description="path of a PEM file; the system's authorities where absent"
    )
    ssl_certificate_file: str | None = Field(default=None, description="PEM, for brokers that ask for one")
    ssl_key_file: str | None = None
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None

    session_timeout_seconds: float = Field(default=15.0, ge=1, description="a silent member loses its partitions")
    heartbeat_seconds: float = Field(default=3.0, gt=0)
    revoke_grace_seconds: float = Field(
        default=5.0, ge=0, description="a rebalance waits this long for records in work to be committed"
    )
    request_timeout_seconds: float = Field(default=10.0, gt=0)
    send_timeout_seconds: float = Field(default=10.0, gt=0, description="after it a send is in doubt")
    start_timeout_seconds: float = Field(default=15.0, gt=0, description="after it the cause is reported")
    max_request_bytes: int = Field(
        default=1_000_000, ge=1_000, description="largest record; keep it below the brokers' message.max.bytes"
    )
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and (self.sasl_username is None or self.sasl_password is None):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file are given together or not at all")
        if self.heartbeat_seconds * 2 > self.session_timeout_seconds:
            raise ValueError("heartbeat_seconds is at most half of session_timeout_seconds")
        return self
