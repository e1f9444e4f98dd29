"""The rooms of the house and who may enter which: read from the source with ast, never by importing it.

`errors <- model <- config store spool ami cdr audio feed ... <- ingest pbx <- webhook api <- daemon <- check <- cli`.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 400
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"call", "errors", "settings"}),
    frozenset({"model"}),
    frozenset({"difference", "cdr", "opening", "voicemail_conf"}),
    frozenset(
        {
            "config",
            "store",
            "spool",
            "ami",
            "audio",
            "feed",
            "health",
            "media",
            "metrics",
            "phones",
            "recordings",
            "sdnotify",
            "simulator",
            "sip",
        }
    ),
    frozenset({"ingest", "intake", "pins", "master", "scanning", "uploads"}),
    frozenset({"webhook", "api", "boxes", "measure", "pbx"}),
    frozenset({"follow", "housekeeping", "listener", "retention"}),
    frozenset({"daemon"}),
    frozenset({"check", "demo"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
"""A part imports only from layers before its own. Every module of service/ belongs to one of these parts."""
API_ENTRANCE = "api.app"
"""What puts the dialects together, and alone knows them."""
ROUTES = frozenset({"get", "post", "put", "delete", "patch", "head", "options", "route", "view"})
AS_ONE = frozenset({"simulator"})
"""Packages whose modules make one thing, tested as one by the tests of any name in their directory."""
SQL_CALLS = frozenset({"execute", "executemany", "executescript", "execute_fetchall", "execute_insert"})


@dataclass(frozen=True)
class Module:
    """A source file by its dotted path below `service`, e.g. `store.journal`; "" is the package itself."""

    path: str
    source: str

    @property
    def part(self) -> str:
        """The room it belongs to: `store.journal` to store, `config_schema` to config."""
        name = self.path.partition(".")[0]
        head = name.partition("_")[0]
        return head if head and layer_of(head) is not None else name

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """What it takes from `service`, as dotted paths: `from service.store import schema` is `store.schema`."""
        names: list[str] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names += [f"{node.module}.{alias.name}" for alias in node.names]
        below = (name.removeprefix("service.") for name in names if name.startswith("service."))
        return tuple(name for name in below if name != "__version__")

    @property
    def calls(self) -> Iterator[tuple[int, ast.expr, str]]:
        """Every call of something's attribute: its line, that something, the attribute's name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield node.lineno, node.func.value, node.func.attr

    @property
    def dialect(self) -> bool:
        """Whether it has routes of its own, written as aiohttp's `web.get(...)`."""
        return self.part == "api" and any(
            name in ROUTES and isinstance(owner, ast.Name) and owner.id == "web" for _, owner, name in self.calls
        )


House = list[Module]
Rule = Callable[[House], list[str]]


def layer_of(part: str) -> int | None:
    return next((number for number, parts in enumerate(LAYERS) if part in parts), None)


def service() -> House:
    found = []
    for file in sorted((ROOT / "service").rglob("*.py")):
        dotted = ".".join(file.relative_to(ROOT / "service").with_suffix("").parts)
        found.append(Module(dotted.removesuffix("__init__").rstrip("."), file.read_text()))
    return found


def homeless(house: House) -> list[str]:
    return [
        f"service.{module.path} belongs to no layer: give it its place in LAYERS"
        for module in house
        if module.path != "" and layer_of(module.part) is None
    ]


def wrong_ways(house: House) -> list[str]:
    return [
        f"service.{module.path} imports service.{name}, which does not lie below it"
        for module in house
        for name in module.imports
        if not may_import(module.part, Module(name, "").part)
    ]


def may_import(part: str, other: str) -> bool:
    own, below = layer_of(part), layer_of(other)
    return part == other or (own is not None and below is not None and below < own)


def dialects_that_are_imported(house: House) -> list[str]:
    dialects = {module.path for module in house if module.dialect}
    return [
        f"service.{module.path} imports the dialect {dialect}"
        for module in house
        if module.path != API_ENTRANCE
        for dialect in dialects - {module.path}
        if any(name == dialect or name.startswith(dialect + ".") for name in module.imports)
    ]


def sql_outside_the_store(house: House) -> list[str]:
    return [
        f"service.{module.path}:{line} speaks SQL"
        for module in house
        if module.part != "store"
        for line, _, name in module.calls
        if name in SQL_CALLS
    ]


def relative_imports(house: House) -> list[str]:
    return [
        f"service.{module.path}:{node.lineno} imports relatively"
        for module in house
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


def too_long(house: House) -> list[str]:
    return [
        f"service.{module.path} is over {LONGEST} lines: split it by responsibility"
        for module in house
        if len(module.source.splitlines()) > LONGEST
    ]


RULES = (homeless, wrong_ways, dialects_that_are_imported, sql_outside_the_store, relative_imports, too_long)


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_its_rules(rule: Rule) -> None:
    assert rule(service()) == []


def test_the_house_was_looked_at() -> None:
    assert {"", "model", "store.schema", "cli"} <= {module.path for module in service()}


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("gossip", "", homeless),
        ("model", "from service.config import Settings", wrong_ways),
        ("errors", "from service.model import Mailbox", wrong_ways),
        ("spool", "from service.store import Store", wrong_ways),
        ("spool", "import service.store.journal", wrong_ways),
        ("store.journal", "def late() -> None:\n    from service.ingest import Ingest", wrong_ways),
        ("config_schema", "from service.audio import measure", wrong_ways),
        ("simulator.ami", "from service.ami import Client", wrong_ways),
        ("api.wire", "from service.daemon import run", wrong_ways),
        ("ingest", "from service import gossip", wrong_ways),
        ("", "from service.model import Mailbox", wrong_ways),
        ("ingest", "async def f(db): await db.execute('SELECT 1')", sql_outside_the_store),
        ("daemon", "from .cli import main", relative_imports),
        ("daemon", "x = 1\n" * (LONGEST + 1), too_long),
    ],
)
def test_a_broken_rule_is_seen(path: str, source: str, rule: Rule) -> None:
    assert len(rule([Module(path, source)])) == 1


@pytest.mark.parametrize(
    "source", ["from service.api import events", "from service.api.events import TABLE", "import service.api.events"]
)
def test_a_dialect_that_another_module_imports_is_seen(source: str) -> None:
    events = Module("api.events", "TABLE = [web.get('/events', events)]")
    assert len(dialects_that_are_imported([events, Module("api.audio", source)])) == 1
    assert dialects_that_are_imported([events, Module("api.app", source)]) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store.journal", "from service.store.schema import SQL\nfrom service.model import Record\ndb.execute('')"),
        ("config", "from service.settings import Settings"),
        ("api.events", "from service.api.wire import page\nfrom service.feed import Feed"),
        ("cli", "from service.daemon import run\nfrom service.check import check\nimport service.config"),
        ("simulator.spool", "from service.errors import NotFoundError"),
        ("metrics", "from service import __version__"),
    ],
)
def test_what_is_allowed_is_not_complained_of(path: str, source: str) -> None:
    assert [problem for rule in RULES for problem in rule([Module(path, source)])] == []


def test_every_module_that_does_something_has_the_test_that_bears_its_name() -> None:
    """`service/store/journal.py` has `tests/store/test_journal.py` or `tests/test_store_journal.py`.

    What was split off by responsibility, as `check_files` from `check`, may be tested by the test of the whole.
    """
    assert untested(service(), ROOT / "tests") == []


def test_a_module_without_its_test_is_seen(tmp_path: Path) -> None:
    paths = ("store.journal", "feed", "check_files", "simulator.tone")
    house = [Module("store", "'words alone'"), *(Module(path, "def f(): ...") for path in paths)]
    assert untested(house, tmp_path) == list(paths)
    for name in ("test_store_journal.py", "test_feed.py", "test_check.py", "simulator/test_spool.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert untested(house, tmp_path) == []


def untested(house: House, tests: Path) -> list[str]:
    return [
        module.path
        for module in house
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in module.tree.body)
        and not any(any(tests.glob(pattern)) for pattern in homes_of_test(module))
    ]


def homes_of_test(module: Module) -> list[str]:
    path = module.path
    homes = [f"test_{path.replace('.', '_')}.py", "/".join([*path.split(".")[:-1], f"test_{path.split('.')[-1]}.py"])]
    if "." not in path:
        homes += [f"test_{module.part}.py", f"{path}/test_{path}.py"]
    elif module.part in AS_ONE:
        homes.append(f"{module.part}/test_*.py")
    return homes
