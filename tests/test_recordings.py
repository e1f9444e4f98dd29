"""Which file is a call's recording: the one that was told, else one with its uniqueid; nothing outside the root."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.call import Call, CallStatus, CallType
from service.errors import NotFoundError
from service.recordings import NOWHERE, SUFFIXES, Recordings
from service.recordings_index import bare, bears

START = 1_795_211_447  # 2026-11-20 21:50:47 UTC, the 21st in Tashkent
DAY = "2026/11/20"
SOUND = b"RIFF" + bytes(200)
FREEPBX = "external-200-15551234567-20261120-215047-1795211447.1.wav"
CALL = Call(
    7, "u", "pbx1", "1795211447.1", START, START + 60, "200", "15551234567", None, 60, 50,
    CallType.OUTGOING, CallStatus.ANSWERED, uniqueids=("1795211447.1", "1795211450.2"),
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Monitor:
    """A directory of recordings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.recordings = Recordings(root, clock=self.clock)

    def put(self, path: str, content: bytes = SOUND) -> str:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        for directory in (file.parent, *file.parent.parents):
            if directory.is_relative_to(self.root):
                os.utime(directory, (START, START))
        return path

    def found(self, recording: str = "", *uniqueids: str, call: Call = CALL) -> str | None:
        """The path of what is found, and is the same to open, if anything is."""
        wanted = replace(call, recording=recording, uniqueids=uniqueids or call.uniqueids)
        found = self.recordings.find(wanted)
        if found is None:
            with pytest.raises(NotFoundError):
                self.recordings.open(wanted)
            return None
        fd, opened = self.recordings.open(wanted)
        with os.fdopen(fd, "rb") as file:
            assert file.read() == (self.root / found.path).read_bytes()
        assert opened == found
        return found.path

    def quickly(self, recording: str = "", *uniqueids: str) -> str | None:
        found = self.recordings.quick(replace(CALL, recording=recording, uniqueids=uniqueids or CALL.uniqueids))
        return None if found is None else found.path


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    root = tmp_path / "monitor"
    root.mkdir()
    return Monitor(root)


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # what earlier tests left may be closed meanwhile


# --- what the PBX told


@pytest.mark.parametrize("place", [f"{DAY}/", "2026/11/", "20261120/", ""])
def test_a_bare_name_is_found_where_recorders_file_it(monitor: Monitor, place: str) -> None:
    path = monitor.put(place + FREEPBX)
    assert monitor.found(FREEPBX, "1.1") == path
    assert monitor.quickly(FREEPBX, "1.1") == path


def test_a_relative_path_is_one_below_the_root(monitor: Monitor) -> None:
    monitor.put("queue/5/a.wav")
    assert monitor.found("queue/5/a.wav") == "queue/5/a.wav"
    assert monitor.found("./queue//5/a.wav") == "queue/5/a.wav"
    assert monitor.found("5/a.wav") is None


def test_an_absolute_path_is_one_below_the_root_or_nothing(monitor: Monitor, tmp_path: Path) -> None:
    monitor.put("queue/a.wav")
    monitor.put("b.wav")
    (tmp_path / "b.wav").write_bytes(SOUND)
    assert monitor.found(f"{monitor.root}/queue/a.wav") == "queue/a.wav"
    assert monitor.found(str(tmp_path / "b.wav")) is None


def test_the_root_may_be_a_link_and_is_told_by_either_name(monitor: Monitor, tmp_path: Path) -> None:
    monitor.put("a.wav")
    link = tmp_path / "link"
    link.symlink_to(monitor.root)
    for told in (link / "a.wav", monitor.root / "a.wav"):
        found = Recordings(link).find(replace(CALL, recording=str(told)))
        assert found is not None
        assert found.path == "a.wav"


def test_without_a_suffix_each_is_tried(monitor: Monitor) -> None:
    monitor.put(f"{DAY}/conversation.gsm")
    assert monitor.found("conversation", "1.1") == f"{DAY}/conversation.gsm"
    monitor.put(f"{DAY}/conversation.wav")
    assert monitor.found("conversation", "1.1") == f"{DAY}/conversation.wav"


def test_what_was_told_goes_before_what_bears_the_uniqueid(monitor: Monitor) -> None:
    monitor.put("a.mp3")
    monitor.put(f"{DAY}/{FREEPBX}")
    assert monitor.found("a.mp3") == "a.mp3"
    assert monitor.found("gone.mp3") == f"{DAY}/{FREEPBX}"


# --- by uniqueid


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_named_as_the_channel_is_found_quickly_too(monitor: Monitor, suffix: str) -> None:
    path = monitor.put(f"{DAY}/1795211447.1.{suffix}")
    assert monitor.quickly() == path
    assert monitor.found() == path


@pytest.mark.parametrize(
    ("name", "uniqueid", "is_its"),
    [
        ("1795211447.1.wav", "1795211447.1", True),
        (FREEPBX, "1795211447.1", True),
        ("1795211447.1-in.wav", "1795211447.1", True),
        ("q_1795211447.1_200.wav", "1795211447.1", True),
        ("200.1795211447.1.wav", "1795211447.1", True),
        ("pbx1-1795211447.1.wav", "pbx1-1795211447.1", True),
        ("pbx1-1795211447.1.wav", "1795211447.1", True),
        ("1795211447.12.wav", "1795211447.1", False),
        ("1795211447.1.wav", "1795211447.12", False),
        ("11795211447.1.wav", "1795211447.1", False),
        ("x1795211447.1.wav", "1795211447.1", False),
        ("1795211447.1a.wav", "1795211447.1", False),
        ("1795211447-1.wav", "1795211447.1", False),
        ("1795211447x1.wav", "1795211447.1", False),
        ("pbx11-1795211447.1.wav", "pbx1-1795211447.1", False),
        ("pbx2-1795211447.1.wav", "pbx1-1795211447.1", False),
        ("1795211447.1.txt", "1795211447.1", False),
        ("1795211447.1", "1795211447.1", False),
        ("1795211447.1.wav.part", "1795211447.1", False),
        (".1795211447.1.wav", "1795211447.1", True),
        ("1795211447.1.WaV", "1795211447.1", False),
    ],
)
def test_the_uniqueid_counts_as_a_whole_alone(monitor: Monitor, name: str, uniqueid: str, is_its: bool) -> None:  # noqa: FBT001 -- a case
    monitor.put(f"{DAY}/{name}")
    assert monitor.found("", uniqueid) == (f"{DAY}/{name}" if is_its else None)


def test_what_bears_and_is_bare() -> None:
    assert (bare("pbx-1795211447.1"), bare("1795211447"), bare("")) == ("1795211447.1", "", "")
    assert bears("a+b-1795211447.1.wav", "a+b-1795211447.1")
    assert not bears("aab-1795211447.1.wav", "a+b-1795211447.1")


def test_the_longest_uniqueid_decides(monitor: Monitor) -> None:
    monitor.put(f"{DAY}/z-1795211447.1.wav")
    monitor.put(f"{DAY}/pbx1-1795211447.1.gsm")
    assert monitor.found("", "1795211447.1", "pbx1-1795211447.1") == f"{DAY}/pbx1-1795211447.1.gsm"


def test_the_whole_goes_before_its_halves_and_wav_before_others(monitor: Monitor) -> None:
    for name in ("1795211447.1-in.wav", "1795211447.1-out.wav", "1795211447.1.mp3", "1795211447.1.wav"):
        monitor.put(name)
    assert monitor.found() == "1795211447.1.wav"
    (monitor.root / "1795211447.1.wav").unlink()
    assert monitor.found() == "1795211447.1-in.wav"


def test_any_channel_of_the_call_will_do(monitor: Monitor) -> None:
    assert monitor.found() is None
    path = monitor.put(f"{DAY}/x-1795211450.2.wav")
    monitor.clock.now += 2
    assert monitor.found() == path


def test_the_day_is_that_of_the_pbx(monitor: Monitor) -> None:
    path = monitor.put("2026/11/21/x-1795211447.1.wav")
    assert monitor.found() is None
    found = Recordings(monitor.root, ZoneInfo("Asia/Tashkent")).find(CALL)
    assert found is not None
    assert found.path == path


def test_a_call_over_midnight_may_be_filed_under_its_end(monitor: Monitor) -> None:
    path = monitor.put("2026/11/21/x-1795211447.1.wav")
    assert monitor.found(call=replace(CALL, end=START + 3 * 3600)) == path


def test_quickly_no_directory_is_listed_but_those_that_were_are_known(monitor: Monitor) -> None:
    path = monitor.put(f"{DAY}/{FREEPBX}")
    assert monitor.quickly() is None
    assert monitor.found() == path
    assert monitor.quickly() == path
    (monitor.root / path).unlink()
    assert monitor.quickly() is None


# --- a directory that changes


def test_a_new_file_is_seen_within_a_second(monitor: Monitor) -> None:
    monitor.put(f"{DAY}/x-1795211400.9.wav")
    assert monitor.found() is None
    path = monitor.put(f"{DAY}/x-1795211447.1.wav")
    assert monitor.found() is None
    monitor.clock.now += 1.1
    assert monitor.found() is None  # the directory's time says that nothing came
    os.utime(monitor.root / DAY)
    assert monitor.found() == path


def test_a_directory_that_changed_just_now_is_listed_again(monitor: Monitor) -> None:
    """Within one tick of the file system's clock it may change twice and show one time."""
    monitor.put(f"{DAY}/x-1795211400.9.wav")
    os.utime(monitor.root / DAY, (time.time() + 60,) * 2)  # however long the next steps take
    then = (monitor.root / DAY).stat().st_mtime_ns
    assert monitor.found() is None
    path = monitor.put(f"{DAY}/x-1795211447.1.wav")
    os.utime(monitor.root / DAY, ns=(then, then))
    monitor.clock.now += 1.1
    assert monitor.found() == path


def test_another_directory_in_its_place_is_listed_anew(monitor: Monitor) -> None:
    path = monitor.put(f"{DAY}/x-1795211447.1.wav")
    assert monitor.found() == path
    (monitor.root / DAY).rename(monitor.root / "aside")
    path = monitor.put(f"{DAY}/y-1795211447.1.wav")
    assert monitor.found() == path


def test_a_listing_costs_nothing_while_the_directory_rests(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    path = monitor.put(f"{DAY}/{FREEPBX}")
    assert monitor.found() == path
    monitor.clock.now += 3600
    monkeypatch.delattr(os, "scandir")
    assert monitor.found() == path


def test_of_a_huge_directory_so_many_names_are_read_and_a_person_is_told_once(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.recordings_index.MOST_READ", 10)
    for number in range(30):
        monitor.put(f"x-1795211447.{number}.wav")
    found = [monitor.found("", f"1795211447.{number}") for number in range(30)]
    assert len([path for path in found if path]) == 10
    assert monitor.found("x-1795211447.29.wav") == "x-1795211447.29.wav"
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_is_kept_of_listings_has_a_bound(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.recordings_index.MOST_KEPT", 5)
    days = [f"2026/11/{day:02d}" for day in range(1, 8)]
    calls = [replace(CALL, start=START + (day - 20) * 86400, end=START + (day - 20) * 86400) for day in range(1, 8)]
    paths = [monitor.put(f"{day}/x-1795211447.1.wav") for day in days]
    assert [monitor.found(call=call) for call in calls] == paths
    quick = [monitor.recordings.quick(call) for call in calls]
    assert [found is not None for found in quick] == [False, False, *[True] * 5]


# --- what is no recording


def link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "outside.wav")


def link_within(path: Path) -> None:
    other = path.with_name("real.wav")
    other.write_bytes(SOUND)
    path.symlink_to(other.name)


def hard_link(path: Path) -> None:
    path.hardlink_to(path.parents[1] / "outside.wav")


def empty(path: Path) -> None:
    path.touch()


def header_alone(path: Path) -> None:
    path.write_bytes(SOUND[:44])


@pytest.mark.parametrize("make", [link, link_within, hard_link, empty, header_alone, Path.mkdir, os.mkfifo])
def test_what_is_no_file_with_sound_is_no_recording(
    monitor: Monitor, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    (tmp_path / "outside.wav").write_bytes(SOUND)
    make(monitor.root / "1795211447.1.wav")
    assert monitor.found("1795211447.1.wav") is None
    assert monitor.quickly("1795211447.1.wav") is None
    assert monitor.found() is None


def test_a_directory_that_is_a_link_is_not_entered(monitor: Monitor, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1795211447.1.wav").write_bytes(SOUND)
    (monitor.root / "2026" / "11").mkdir(parents=True)
    (monitor.root / DAY).symlink_to(tmp_path / "outside")
    (monitor.root / "out").symlink_to(tmp_path / "outside")
    assert monitor.found() is None
    assert monitor.found("out/1795211447.1.wav") is None


def test_without_a_root_or_where_it_is_gone_there_are_none(tmp_path: Path) -> None:
    for recordings in (NOWHERE, Recordings(tmp_path / "gone")):
        for told in ("", "a.wav", "a/b.wav", "/a/b.wav"):
            call = replace(CALL, recording=told)
            assert (recordings.find(call), recordings.quick(call)) == (None, None)


@pytest.mark.parametrize(
    "told",
    [
        "..",
        ".",
        "/",
        "//",
        "",
        " ",
        "../secret.wav",
        "../../secret.wav",
        "../monitor/../secret.wav",
        "./../secret.wav",
        "a/../../secret.wav",
        "a/../b.wav",
        "2026/11/20/../../../../secret.wav",
        "{root}/../secret.wav",
        "{root}/a/../../secret.wav",
        "{root}",
        "{root}/",
        "{root}/.",
        "{root}/..",
        "{root}x/secret.wav",
        "{outside}/secret.wav",
        "{outside}/monitor-of-others/secret.wav",
        "//{outside}/secret.wav",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/passwd.wav",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/dev/stdin",
        "/dev/zero",
        "/dev/null.wav",
        "etc/passwd",
        "secret.wav\0.txt",
        "\0",
        "a.wav\0",
        "../secret.wav\0.wav",
        "..\\secret.wav",
        "..%2fsecret.wav",
        "%2e%2e/secret.wav",
        "%00.wav",
        "file:///etc/passwd",
        "file://{outside}/secret.wav",
        "http://127.0.0.1/a.wav",
        "concat:../secret.wav",
        "|id.wav",
        "$(id).wav",
        "`id`.wav",
        "a.wav;id",
        "~/secret.wav",
        "~root/secret.wav",
        "*.wav",
        "?ecret.wav",
        "[a-z]*.wav",
        "...",
        ".../...//secret.wav",
        ". ./secret.wav",
        "a.wav/",
        "a.wav/b.wav",
        "link.wav",
        "link/secret.wav",
        "\u2025/secret.wav",
        "\uff0e\uff0e/secret.wav",
        "..\u2215secret.wav",
        "\ud800.wav",
        "\u202evaw.terces",
        "secret.wav\n",
        "x" * 256 + ".wav",
        "x" * 70_000,
        "a/" * 1000 + "a.wav",
        "../" * 1000 + "etc/passwd",
        ".wav",
    ],
)
def test_no_told_path_leads_to_any_other_file(monitor: Monitor, tmp_path: Path, told: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret" * 100)
    (tmp_path / "monitorx").mkdir()
    (tmp_path / "monitorx" / "secret.wav").write_bytes(b"secret" * 100)
    (monitor.root / "link.wav").symlink_to("../secret.wav")
    (monitor.root / "link").symlink_to("..")
    own = monitor.put("a.wav")
    told = told.replace("{root}", str(monitor.root)).replace("{outside}", str(tmp_path))
    assert monitor.found(told) == (own if told == "a.wav/" else None)
    assert monitor.quickly(told) == (own if told == "a.wav/" else None)
    assert monitor.found("", told) is None
