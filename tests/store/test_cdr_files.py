from functools import partial
from pathlib import Path

from service.store import Store, cdr_files


async def test_each_path_has_the_state_that_was_saved_last(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "voicemaild.db", pbx="pbx1") as store:
        assert await store.read(lambda conn: cdr_files.load(conn, "/a")) is None
        for path, state in (("/a", "1"), ("/b", "2"), ("/a", "3")):
            await store.write(partial(cdr_files.save, path=path, state=state))
        assert await store.read(lambda conn: [cdr_files.load(conn, path) for path in ("/a", "/b", "/c")]) == [
            "3",
            "2",
            None,
        ]
