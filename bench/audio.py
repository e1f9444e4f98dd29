"""The look at a recording's header beside the standard library's, and how long it takes to measure 30 s of sound."""

import asyncio
import os
import statistics
import struct
import tempfile
import time
import wave
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import statistic, table
from service.audio import AudioWorker, GsmLibrary, describe
from service.audio.look import layout_of

RECORDED = Path(__file__).parents[1] / "tests" / "fixtures" / "audio"
NAMES = {"wav": "message-22.wav", "wav49": "message-22.WAV", "gsm": "message-22.gsm"}
LOOKS = 300
ROUNDS = 15
LONG_MS = 30_000
LEVELS_ROUNDS = 25
LEVELS_GOALS = {"wav": "<= 1 ms", "wav49": "<= 15 ms"}


def looks(path: Path) -> float:
    """Seconds to describe a file, opened and closed each time, `LOOKS` times over."""
    name, suffix = str(path), path.suffix[1:]
    began = time.thread_time()
    for _ in range(LOOKS):
        fd = os.open(name, os.O_RDONLY)
        describe(fd, suffix)
        os.close(fd)
    return time.thread_time() - began


def headers(path: Path) -> float:
    """Seconds for the standard library to read the header of a wav, as often."""
    name = str(path)
    began = time.thread_time()
    for _ in range(LOOKS):
        with wave.open(name, "rb") as file:
            _ = file.getnframes() * 1000 // file.getframerate()
    return time.thread_time() - began


def longer(path: Path, target: Path) -> None:
    """Write a recording that is played over and over until it lasts `LONG_MS`, with the sizes in its header put right.

    The data are the last chunk, and its size stands right before them, as in all that Asterisk writes.
    """
    whole = path.read_bytes()
    with path.open("rb") as file:
        layout = layout_of(file.fileno(), path.suffix[1:])
    assert layout is not None
    blocks = LONG_MS * layout.sample_rate // 1000 // layout.block_samples
    once = whole[layout.offset : layout.offset + layout.length // layout.block_bytes * layout.block_bytes]
    length = blocks * layout.block_bytes
    data = (once * (length // len(once) + 1))[:length]
    head = bytearray(whole[: layout.offset])
    struct.pack_into("<I", head, 4, len(head) - 8 + length)
    struct.pack_into("<I", head, len(head) - 4, length)
    target.write_bytes(head + data)


async def levels(path: Path) -> list[float]:
    """Milliseconds, each time, until the worker has told how loud a file is; the event loop is free meanwhile."""
    times = []
    async with AudioWorker(GsmLibrary.load()) as worker:
        for _ in range(LEVELS_ROUNDS):
            began = time.perf_counter()
            told = await worker.levels(partial(os.open, path, os.O_RDONLY), path.suffix[1:])
            times.append((time.perf_counter() - began) * 1e3)
            assert told is not None
    return times[1:]  # the first imports what only measuring needs


def figures() -> Iterator[table.Row]:
    ways = {kind: partial(looks, RECORDED / name) for kind, name in NAMES.items()}
    took = statistic.interleaved(ways | {"limit": partial(headers, RECORDED / NAMES["wav"])}, ROUNDS)
    each = {kind: statistics.median(values) / LOOKS * 1e3 for kind, values in took.items()}
    for kind in NAMES:
        yield table.Row.compared(
            f"kind and length of a {kind} {each[kind]:.4f} ms",
            f"stdlib wave, header of the wav {each['limit']:.4f} ms",
            statistic.ratio(took, kind, "limit"),
            "<= 1",
        )
    with tempfile.TemporaryDirectory() as directory:
        for kind, goal in LEVELS_GOALS.items():
            path = Path(directory) / NAMES[kind]
            longer(RECORDED / NAMES[kind], path)
            middle = statistics.median(asyncio.run(levels(path)))
            yield table.Row.measured(f"levels of 30 s {kind} {middle:.2f} ms", middle, goal)


if __name__ == "__main__":
    table.tell(figures)
