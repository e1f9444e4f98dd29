"""What the build reads of the machine."""

from pathlib import Path

import pytest

from tests.pbx.root import BuildError, Source, deb822_sources, debian_mirror, left_out_reason, one_line_sources


def test_deb822_sources_are_read() -> None:
    text = (
        "# A comment\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm\n bookworm-updates\nComponents: main contrib\n"
        "\n# Off\nEnabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n"
    )
    expected = Source("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib"))
    assert list(deb822_sources(text)) == [expected]


def test_one_line_sources_are_read() -> None:
    text = (
        "# deb http://off.example bookworm main\n"
        "deb [arch=amd64 signed-by=/x.gpg] http://mirror.example/debian bookworm main non-free # why\n"
        "deb-src http://mirror.example/debian bookworm main\n"
    )
    assert list(one_line_sources(text)) == [Source("http://mirror.example/debian", ("bookworm",), ("main", "non-free"))]


def test_the_mirror_is_the_one_with_debian_itself(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "deb cdrom:[Debian]/ stable main\ndeb http://third.example/debian stable nightly\n"
        "deb http://security.example/debian stable-security main\n"
    )
    mirror = tmp_path / "sources.list.d/debian.sources"
    mirror.write_text("Types: deb\nURIs: http://mirror.example/debian\nSuites: stable\nComponents: main\n")
    assert debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_a_machine_without_a_debian_mirror_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no Debian mirror"):
        debian_mirror(tmp_path)


def test_the_environment_can_leave_the_pbx_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMAILD_TEST_PBX", "off")
    assert left_out_reason() == "VOICEMAILD_TEST_PBX=off"


def test_an_ordinary_user_can_build_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert left_out_reason()
