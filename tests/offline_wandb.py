"""Reads what an offline W&B run has written: its transaction log, the file that `wandb sync` uploads."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto.wandb_internal_pb2 import Record

HEADER, BLOCK, FRAME = 7, 32768, 7
PATIENCE_S = 120


class Artefact(NamedTuple):
    name: str
    type: str
    digest: str
    used: bool
    """Whether the run read it rather than made it."""
    files: tuple[str, ...]


class Log(NamedTuple):
    id: str
    group: str
    job: str
    name: str
    config: dict[str, Any]
    summary: dict[str, Any]
    artefacts: list[Artefact]
    exit_code: int | None

    @property
    def made(self) -> dict[str, str]:
        return {found.name: found.digest for found in self.artefacts if not found.used and found.type != "run_table"}

    @property
    def used(self) -> dict[str, str]:
        return {found.name: found.digest for found in self.artefacts if found.used}


def logs(run: Path) -> list[Log]:
    """The W&B runs of one of our runs, oldest first."""
    return [_closed(file) for file in sorted(run.glob("wandb/offline-run-*/*.wandb"))]


def _closed(file: Path) -> Log:
    # W&B's own process empties its buffer a moment after `finish` has returned.
    until = time.monotonic() + PATIENCE_S
    while not any(record.WhichOneof("record_type") == "exit" for record in _records(file.read_bytes())):
        assert time.monotonic() < until, f"{file} was never closed"
        time.sleep(0.05)
    return read(file)


def read(file: Path) -> Log:
    head: Any = None
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    artefacts, code = [], None
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            head = record.run
            config |= {item.key: json.loads(item.value_json) for item in head.config.update}
        elif kind == "summary":
            summary |= {item.key or item.nested_key[0]: item.value_json for item in record.summary.update}
        elif kind == "artifact":
            said = record.artifact
            files = tuple(entry.path for entry in said.manifest.contents)
            artefacts.append(Artefact(said.name, said.type, said.digest, said.use_after_commit, files))
        elif kind == "exit":
            code = record.exit.exit_code
    numbers = {key: json.loads(value) for key, value in summary.items()}
    return Log(head.run_id, head.run_group, head.job_type, head.display_name, config, numbers, artefacts, code)


def _records(data: bytes) -> Iterator[Record]:
    """LevelDB's log format: blocks of 32 KiB, in which a record may be split over several frames."""
    at, parts = HEADER, b""
    while at + FRAME <= len(data):
        if BLOCK - at % BLOCK < FRAME:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + FRAME : at + FRAME + length]
        at += FRAME + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record
