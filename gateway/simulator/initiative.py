"""What a counterparty begins by itself, as a file says it: one JSON object a line, which may grow while it is read."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.errors import ConfigError
from gateway.simulator.arrival import Arrival


class Initiative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One transaction of theirs: its ``reference``, the scenarios that it plays, its terms as the tables name them.

    ``play`` names a scenario of a dialogue that the counterparty begins, and others for what we may ask or answer.
    ``after`` are seconds from reading it to its first message.
    """

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
    play: tuple[str, ...]
    terms: dict[str, str] = {}
    after: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def arrival(self, dialogue: str) -> Arrival:
        """Return what the book keeps of it: an arrival that came from nobody, whose transaction is the reference."""
        key = f"initiative/{self.reference}"
        return Arrival(
            carrier_key=key,
            sha256=sha256(key.encode()).hexdigest(),
            transaction_id=self.reference,
            dialogue=dialogue,
            valid=True,
            terms={
                **self.terms,
                "transaction_id": self.reference,
                "processing_text": f"SIM:{','.join(self.play)}",
            },
        )


class InitiativeFile:
    """Read initiatives as the file grows; a last line without its end is not yet there."""

    def __init__(self, path: Path) -> None:
        """Take the file, which may come later."""
        self._path = path
        self._offset = 0
        self._lines = 0

    def read(self) -> list[Initiative]:
        """Return what is new since the last call; raises ConfigError naming file and line."""
        try:
            if not self._path.is_file() or self._path.stat().st_size <= self._offset:
                return []
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error}") from error
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            self._lines += 1
            if not line.strip():
                continue
            try:
                found.append(msgspec.json.decode(line, type=Initiative))
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise ConfigError(f"{self._path}, line {self._lines}: {error}") from error
        return found
