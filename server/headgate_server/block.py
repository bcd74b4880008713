"""The memory that the processes of one server share: a slot for each worker, made by their parent, of a fixed size.

Every word has one writer, and is written whole: whoever adds up the slots reads what was true a moment ago, without a
lock, and a worker that is killed leaves nothing half done. A worker that takes another's place takes its slot, and
counts on from what is there. The parent imports this, so it knows sizes only and nothing that is heavy.
"""

import json
import mmap
import os
import struct
from typing import Any, Final
from zlib import crc32

WORD: Final = 8
# Room for the closed lists of `shares`, which checks that they fit.
ROWS: Final = 160
BUCKETS: Final = 58
ERRORS: Final = 32
BATCHES: Final = 32
STEPS: Final = 1537
WORDS: Final = 64
GROUPS: Final = 8
NAMES: Final = 24
NAME_BYTES: Final = 256
REPORT_BYTES: Final = 8192
LIFE_BYTES: Final = 512
PIN_BYTES: Final = 4096

# Whole gauges and moments (of the machine's monotonic clock, which all processes share).
IN_FLIGHT, OPEN_CONNECTIONS, WAITING, ACCEPTING = range(4)
LAST_REQUEST, OLDEST_CALL, BEAT = range(3)
GAUGES: Final = 4
MOMENTS: Final = 3

SLOT_PARTS: Final = {
    "gauges": GAUGES * WORD,
    "under_way": GROUPS * WORD,
    "moments": MOMENTS * WORD,
    "buckets": ROWS * BUCKETS * WORD,
    "seconds": ROWS * WORD,
    "errors": ERRORS * WORD,
    "batches": BATCHES * WORD,
    "steps": STEPS * WORD,
    "words": WORDS * WORD,
    "named": NAMES * WORD,
    "names": NAMES * NAME_BYTES,
    "report": REPORT_BYTES,
    "life": LIFE_BYTES,
}
SLOT_BYTES: Final = sum(SLOT_PARTS.values())
HEAD_BYTES: Final = WORD + PIN_BYTES
TRIES: Final = 1000
_LENGTH_AND_SUM: Final = struct.Struct("II")


class Cell:
    """A short value with one writer. Who reads while it is written sees that by its checksum, and reads again."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def write(self, value: Any) -> None:
        raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        self._memory[_LENGTH_AND_SUM.size : _LENGTH_AND_SUM.size + len(raw)] = raw
        _LENGTH_AND_SUM.pack_into(self._memory, 0, len(raw), crc32(raw))

    def read(self) -> Any:
        """None where nothing was written, or a writer was killed over it."""
        for _ in range(TRIES):
            length, checksum = _LENGTH_AND_SUM.unpack_from(self._memory)
            raw = bytes(self._memory[_LENGTH_AND_SUM.size : _LENGTH_AND_SUM.size + length])
            if not length:
                return None
            if crc32(raw) == checksum:
                return json.loads(raw)
        return None


class Slot:
    """One worker's part. The worker writes all of it but `life`, which is its parent's, and so is a dead one's rest."""

    def __init__(self, memory: memoryview) -> None:
        parts: dict[str, memoryview] = {}
        at = 0
        for name, size in SLOT_PARTS.items():
            parts[name] = memory[at : at + size]
            at += size
        self.gauges = parts["gauges"].cast("Q")
        self.under_way = parts["under_way"].cast("Q")
        self.moments = parts["moments"].cast("d")
        self.buckets = parts["buckets"].cast("Q")
        self.seconds = parts["seconds"].cast("d")
        self.errors = parts["errors"].cast("Q")
        self.batches = parts["batches"].cast("Q")
        self.steps = parts["steps"].cast("Q")
        self.words = parts["words"].cast("Q")
        self.named = parts["named"].cast("Q")
        names = parts["names"]
        self.names = [Cell(names[at : at + NAME_BYTES]) for at in range(0, len(names), NAME_BYTES)]
        self.report = Cell(parts["report"])
        self.life = Cell(parts["life"])

    def begin(self, moment: float) -> None:
        """Before a worker begins here nothing is under way. The counters stay, and so does the last request."""
        for at in range(GAUGES):
            self.gauges[at] = 0
        self.moments[OLDEST_CALL] = 0.0
        self.moments[BEAT] = moment


class Block:
    """All of it. `file` is there for locks, which end with the process that holds them."""

    def __init__(self, workers: int) -> None:
        size = HEAD_BYTES + workers * SLOT_BYTES
        self.file = os.memfd_create("headgate-server")
        os.ftruncate(self.file, size)
        memory = memoryview(mmap.mmap(self.file, size))
        self._head = memory[:WORD].cast("Q")
        self.pin = Cell(memory[WORD:HEAD_BYTES])
        starts = range(HEAD_BYTES, size, SLOT_BYTES)
        self.slots = [Slot(memory[at : at + SLOT_BYTES]) for at in starts]

    @property
    def draining(self) -> bool:
        return bool(self._head[0])

    def drain(self) -> None:
        self._head[0] = 1
