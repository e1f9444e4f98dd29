"""Files that are kept: whole or not at all, up to a size, the least lately used going first."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.audio import AudioCache
from service.errors import UnavailableError


def cache(path: Path, most_bytes: int = 1000, most_files: int = 100) -> AudioCache:
    return AudioCache(path / "cache", most_bytes=most_bytes, most_files=most_files, least_free=0)


def put(cache: AudioCache, name: str, size: int = 100) -> None:
    with cache.draft(name) as fd:
        os.write(fd, name.encode()[:1] * size)


def found(cache: AudioCache, name: str) -> bytes | None:
    fd = cache.find(name)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read()


def files(path: Path) -> set[str]:
    return {entry.name for entry in (path / "cache").iterdir()}


def test_what_was_put_there_is_found(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert found(kept, "a.wav") is None
    put(kept, "a.wav")
    assert found(kept, "a.wav") == b"a" * 100


def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    put(cache(tmp_path), "a.wav")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / "a.wav").stat().st_mode & 0o777 == 0o600


def test_a_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    with kept.draft("a.wav") as fd:
        os.write(fd, b"half")
        assert found(kept, "a.wav") is None
    assert found(kept, "a.wav") == b"half"


def test_of_a_file_that_failed_nothing_is_left(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    with pytest.raises(OSError, match="Bad file"), kept.draft("a.wav"):
        os.write(-1, b"half")
    assert found(kept, "a.wav") is None
    assert files(tmp_path) == set()


def test_a_start_after_a_crash_removes_what_was_not_finished_and_keeps_the_rest(tmp_path: Path) -> None:
    put(cache(tmp_path), "a.wav")
    (tmp_path / "cache" / "b.wav.part").write_bytes(b"half")
    after = cache(tmp_path)
    after.prepare()
    assert files(tmp_path) == {"a.wav"}
    assert found(after, "a.wav") == b"a" * 100
    assert found(after, "b.wav") is None


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    kept = cache(tmp_path)
    put(kept, "a.wav")
    (tmp_path / "cache" / "a.wav").unlink()
    (tmp_path / "cache" / "a.wav").symlink_to(secret)
    with pytest.raises(UnavailableError):
        kept.find("a.wav")
    (tmp_path / "cache" / "b.wav").symlink_to(secret)
    assert found(cache(tmp_path), "b.wav") is None


def test_the_least_lately_used_makes_room(tmp_path: Path) -> None:
    kept = cache(tmp_path, most_bytes=300)
    for name in ("a.wav", "b.wav", "c.wav"):
        put(kept, name)
    found(kept, "a.wav")
    put(kept, "d.wav")
    assert files(tmp_path) == {"a.wav", "c.wav", "d.wav"}
    assert found(kept, "b.wav") is None


def test_so_many_files_are_kept_and_no_more(tmp_path: Path) -> None:
    kept = cache(tmp_path, most_files=2)
    for name in ("a.wav", "b.wav", "c.wav"):
        put(kept, name, 1)
    assert files(tmp_path) == {"b.wav", "c.wav"}


def test_one_that_is_larger_than_all_may_be_is_kept_until_the_next(tmp_path: Path) -> None:
    kept = cache(tmp_path, most_bytes=50)
    put(kept, "a.wav")
    assert found(kept, "a.wav") is not None
    put(kept, "b.wav", 10)
    assert files(tmp_path) == {"b.wav"}


def test_after_a_restart_the_least_lately_used_still_goes_first(tmp_path: Path) -> None:
    first = cache(tmp_path)
    for name in ("a.wav", "b.wav", "c.wav"):
        put(first, name)
        os.utime(tmp_path / "cache" / name, (1000, 1000))
    found(first, "b.wav")  # which notes the time
    again = cache(tmp_path, most_bytes=200)
    put(again, "d.wav")
    assert files(tmp_path) == {"b.wav", "d.wav"}


def test_a_smaller_limit_is_kept_from_the_start_on(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        put(cache(tmp_path), name)
    cache(tmp_path, most_bytes=100).prepare()
    assert len(files(tmp_path)) == 1


def test_a_directory_that_somebody_cleared_is_no_trouble(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    put(kept, "a.wav")
    (tmp_path / "cache" / "a.wav").unlink()
    assert found(kept, "a.wav") is None
    (tmp_path / "cache").rmdir()
    put(kept, "a.wav")
    assert found(kept, "a.wav") == b"a" * 100


def test_what_is_being_read_may_go(tmp_path: Path) -> None:
    kept = cache(tmp_path, most_bytes=100)
    put(kept, "a.wav")
    fd = kept.find("a.wav")
    assert fd is not None
    put(kept, "b.wav")
    with os.fdopen(fd, "rb") as file:
        assert file.read() == b"a" * 100
    assert found(kept, "a.wav") is None


def test_what_is_of_one_subject_is_forgotten_together(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    for name in ("1-a.wav", "1-b.mp3", "2-a.wav"):
        put(kept, name)
    kept.forget("1-")
    assert files(tmp_path) == {"2-a.wav"}
    assert [found(kept, name) for name in ("1-a.wav", "1-b.mp3")] == [None, None]


def test_where_the_disk_is_nearly_full_nothing_is_put_there(tmp_path: Path) -> None:
    full = AudioCache(tmp_path / "cache", least_free=2**62)
    with pytest.raises(UnavailableError, match="no room"), full.draft("a.wav"):
        pass
    assert files(tmp_path) == set()


def test_where_there_can_be_no_directory_the_service_says_so(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UnavailableError):
        cache(tmp_path).find("a.wav")
    with pytest.raises(OSError, match="cache"):
        cache(tmp_path).prepare()


@settings(max_examples=40)
@given(steps=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 120), st.booleans()), max_size=40))
def test_it_holds_what_the_simplest_cache_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("cache")
    kept = cache(path, most_bytes=300, most_files=4)
    kept.prepare()
    model: dict[str, int] = {}
    for letter, size, read in steps:
        name = f"{letter}.wav"
        if read:
            assert (found(kept, name) is not None) == (name in model)
            if name in model:
                model[name] = model.pop(name)
            continue
        put(kept, name, size)
        model.pop(name, None)
        model[name] = size
        while len(model) > 1 and (sum(model.values()) > 300 or len(model) > 4):
            del model[next(iter(model))]
        assert files(path) == set(model)
