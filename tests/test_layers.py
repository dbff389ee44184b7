"""What may import what: the "must not know" column of ARCHITECTURE.md, read from the imports themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import consumer

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("consumer", "web", "cli", "demo")


def modules(place):
    path = ROOT / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imports(path):
    """Yield the absolute names of all modules that a file imports, wherever in the file it does."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package if node.level else ""
            name = ".".join(filter(None, [base, node.module]))
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def offenders(place, forbidden, allowed_files=()):
    """List the files of a place that import something forbidden."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(place)
        if str(path.relative_to(ROOT)) not in allowed_files
        for name in imports(path)
        if any(name == banned or name.startswith(f"{banned}.") for banned in forbidden)
    ]


FLASK = ("flask", "flask_sock", "werkzeug", "gunicorn", "simple_websocket")

KAFKA_FILES = (
    "consumer/sources/kafka.py",
    "consumer/sources/end_offsets.py",
    "consumer/sources/net_clients.py",
    "consumer/sources/producing.py",
    *(str(path.relative_to(ROOT)) for path in modules("consumer/sources/hooks")),
)
CONFLUENT_FILES = (
    "consumer/sources/confluent.py",
    *(str(path.relative_to(ROOT)) for path in modules("consumer/sources/librdkafka")),
)
KAFKA = ("kafka", "confluent_kafka")
SCHEMA_FILES = ("consumer/schemas/avro.py", "consumer/schemas/protobuf.py")

RIGHT_OF_VIEW = ("consumer.resume", "consumer.runtime")
STAGES = ("subscriber", "starting", "replaying", "catching_up", "live")
READERS = tuple(f"consumer.resume.{each}" for each in ("replay", "readers", "reading", "pending", "chunks"))

BELOW_SERVICES = ("web/access", "web/acknowledgements", "web/answers", "web/publish", "web/server", "web/streams")

RULES = [
    ("app.py", (*KAFKA, "threading", "web.wire", "gunicorn"), ()),
    ("wsgi.py", (*KAFKA, "flask", "web.api.sse", "web.api.polling", "threading"), ()),
    ("gunicorn.conf.py", (*KAFKA, "flask"), ()),
    ("consumer", (*FLASK, "web", "cli", "demo", "app", "wsgi"), ()),
    ("consumer", ("kafka",), KAFKA_FILES),
    ("consumer", ("confluent_kafka",), CONFLUENT_FILES),
    ("consumer", ("fastavro", "google", "grpc_tools"), SCHEMA_FILES),
    (
        "consumer/schemas",
        ("consumer.view", "consumer.scoring", "consumer.mapping", "consumer.messages.normalise", *RIGHT_OF_VIEW),
        (),
    ),
    (
        "web",
        (
            *KAFKA,
            "cli",
            "demo",
            "app",
            "wsgi",
            "consumer.sources.kafka",
            "consumer.sources.confluent",
            "consumer.view.cursor",
            "consumer.sources.record",
        ),
        (),
    ),
    (
        "web",
        ("gunicorn",),
        ("web/server/connections.py", "web/server/access_log.py", "web/server/refusals.py", "web/access/forwarded.py"),
    ),
    ("web/wire.py", (*FLASK, "threading", "time", "consumer.view.feed", "consumer.runtime"), ()),
    (
        "web/streams/session.py",
        (*FLASK, "threading", "time", "consumer.resume", "consumer.view.feed", "consumer.runtime", "web.services"),
        (),
    ),
    ("web/streams/websocket_protocol.py", ("threading", "time", "flask_sock", "simple_websocket"), ()),
    ("cli", KAFKA, ("cli/publish.py",)),
    ("cli", ("web", "demo", "app", "wsgi", "gunicorn"), ()),
    ("demo", (*KAFKA, "web", "app", "wsgi", "gunicorn"), ()),
    ("consumer/view/cursor.py", ("kafka", "threading", "time", "consumer.view.ring", "consumer.view.feed"), ()),
    ("consumer/view/ring.py", ("threading", "time"), ()),
    ("consumer/view/latest.py", ("threading", "time"), ()),
    (
        "consumer/settings",
        ("consumer.sources", "consumer.messages", "consumer.view", "consumer.scoring", *RIGHT_OF_VIEW),
        (),
    ),
    ("consumer/sources", ("consumer.messages", "consumer.view", *RIGHT_OF_VIEW), ()),
    (
        "consumer/sources/hooks",
        (
            "consumer.settings",
            "confluent_kafka",
            *(f"consumer.sources.{each}" for each in ("base", "kafka", "confluent")),
        ),
        (),
    ),
    (
        "consumer/sources/librdkafka",
        ("kafka", "consumer.sources.confluent", "consumer.sources.hooks", "consumer.sources.kafka"),
        ("consumer/sources/librdkafka/damage.py",),
    ),
    ("consumer/messages", ("consumer.view", *RIGHT_OF_VIEW), ()),
    (
        "consumer/mapping",
        ("threading", "time", "consumer.view", "consumer.scoring", "consumer.messages.normalise", *RIGHT_OF_VIEW),
        (),
    ),
    ("consumer/scoring", ("consumer.sources", "consumer.messages", "consumer.view", "threading", *RIGHT_OF_VIEW), ()),
    ("consumer/view", (*RIGHT_OF_VIEW, "consumer.usual"), ()),
    ("consumer/usual", ("consumer.sources", "consumer.messages", *RIGHT_OF_VIEW), ()),
    ("consumer/usual", ("consumer.scoring",), ("consumer/usual/baseline.py",)),
    (
        "consumer/alerts",
        ("consumer.sources", "consumer.messages", "consumer.scoring", "consumer.usual", *RIGHT_OF_VIEW),
        (),
    ),
    ("consumer/alerts/tracks.py", ("threading", "time", "consumer.view"), ()),
    ("consumer/alerts/changes.py", ("threading", "time"), ()),
    ("consumer/resume", ("consumer.runtime",), ()),
    *((f"consumer/resume/{stage}.py", READERS, ()) for stage in STAGES),
    ("web/documents", ("threading", "time", "consumer.view.feed", *RIGHT_OF_VIEW), ()),
    *(
        (place, ("web.streams.encodings", "web.streams.hub"), ("web/api/sse.py", "web/api/websocket.py"))
        for place in ("web/api", "web/page", "web/publish", "web/limits", "web/access", "web/documents", "web/server")
    ),
    *((place, ("web.api", "web.services"), ()) for place in BELOW_SERVICES),
    *((place, ("web.streams",), ()) for place in ("web/answers", "web/acknowledgements")),
    ("consumer/parsing", ("consumer.messages", "consumer.mapping", "consumer.view", *RIGHT_OF_VIEW), ()),
    ("web/publish", ("consumer.view", *RIGHT_OF_VIEW), ()),
    ("web/limits", ("consumer.prediction", "consumer.view", "consumer.messages", *RIGHT_OF_VIEW), ()),
    ("web/access", ("web.limits", "web.streams", "web.api", "web.server", "web.page"), ()),
    ("web/server", ("web.api", "web.page", "flask", "consumer"), ("web/server/client.py",)),
    ("web/server/client.py", ("web.api", "web.page", "consumer"), ()),
    ("consumer/messages/normalise.py", ("threading", "time", "consumer.view.feed"), ()),
]


def cycles(unit):
    """List the units in an import cycle, and those that import them. `unit` names what a module belongs to."""
    names = {module_name(path): path for package in ("consumer", "web") for path in modules(package)}
    imported = {unit(name): set() for name in names}
    for name, path in names.items():
        imported[unit(name)] |= {unit(other) for other in imports(path) if other in names} - {unit(name)}
    for name, others in imported.items():
        # Each module imports the packages that it is in.
        others -= {other for other in others if name.startswith(f"{other}.")}
    while leaves := {name for name, others in imported.items() if not others}:
        imported = {name: others - leaves for name, others in imported.items() if name not in leaves}
    return sorted(imported)


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def package_name(module):
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("unit", [str, package_name], ids=["modules", "packages"])
def test_none_import_each_other(unit):
    assert cycles(unit) == []


def test_the_web_side_encodes_json_in_one_place():
    encoders = re.compile(r"json\.(?:encode|Encoder|dumps)\b|jsonify")
    files = {
        str(path.relative_to(ROOT)) for path in modules("web") if encoders.search(path.read_text(encoding="utf-8"))
    }
    assert files == {"web/wire.py"}


def subpackages():
    return [path for package in ("consumer", "web") for path in sorted((ROOT / package).iterdir()) if has_modules(path)]


def has_modules(path):
    return path.is_dir() and any(path.glob("*.py"))


def test_architecture_names_every_subpackage_and_none_that_is_gone():
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("\n## Packages\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `((?:consumer|web)/\w+)/` \|", table, re.MULTILINE)
    assert sorted(named) == [str(path.relative_to(ROOT)) for path in subpackages()]


def lock_owners(path):
    """Yield the classes of a module whose objects make a lock of their own."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and re.search(r"\b(Lock|RLock|Condition)\(\)", ast.unparse(node)):
            yield node.name


def test_architecture_names_every_lock():
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("\n## Locks\n")[2]
    names = {"FeedState": "Feed.locked()", "_Cached": "one per filter"}
    owners = {owner for place in ("consumer", "web") for path in modules(place) for owner in lock_owners(path)}
    owners -= {"MemoryTopic"}  # the twin of a topic, for tests
    assert len(owners) > 10
    assert [owner for owner in sorted(owners) if names.get(owner, f"`{owner}._") not in table] == []


def test_every_subpackage_says_what_it_does_and_must_not_know():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")]
    texts = {
        str(path.relative_to(ROOT)): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in paths
    }
    assert len(texts) > 20
    assert [name for name, text in texts.items() if "must not know" not in " ".join((text or "").split())] == []


def test_the_consumer_has_three_verbs():
    names = consumer.__all__
    verbs = {name for name in names if name[0].islower()} - {"load"}  # that is of settings
    assert verbs == {"start", "stop", "current"}


@pytest.mark.parametrize(("place", "forbidden", "allowed_files"), RULES)
def test_a_place_does_not_import_what_it_must_not_know(place, forbidden, allowed_files):
    assert offenders(place, forbidden, allowed_files) == []


@pytest.mark.parametrize("allowed", [("consumer", "consumer/sources/kafka.py"), ("cli", "cli/publish.py")])
def test_the_kafka_client_is_imported_where_it_may_be(allowed):
    package, file = allowed
    assert any(name.split(".")[0] == "kafka" for name in imports(ROOT / file)), f"the rule for {package} tests nothing"


def test_the_check_sees_an_import_inside_a_function():
    found = [*imports(ROOT / "consumer" / "sources" / "kafka.py")]
    assert "kafka.structs" in found
    assert "consumer.settings" in found, "relative imports are resolved"


def test_only_settings_and_the_entry_points_read_the_environment():
    readers = {
        str(path.relative_to(ROOT))
        for place in ("app.py", *PACKAGES)
        for path in modules(place)
        if "(os.environ" in path.read_text(encoding="utf-8")
    }
    assert {name for name in readers if not name.startswith("demo/")} == {
        "app.py",
        "consumer/runtime/singleton.py",
        "web/probe.py",
    }


def sleepers(source):
    """Return the lines of a module that name time.sleep: called, handed over, kept as a default, or imported."""
    tree = ast.parse(source)
    clocks = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "time"
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and node.module == "time" and any(a.name == "sleep" for a in node.names))
        or (
            isinstance(node, ast.Attribute)
            and node.attr == "sleep"
            and isinstance(node.value, ast.Name)
            and node.value.id in clocks
        )
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as clock\ndef rest(sleep=clock.sleep): ...",
        "from time import sleep as pause\npause(1)",
    ],
)
def test_the_check_sees_any_way_to_sleep(source):
    assert sleepers(source)


def test_nothing_sleeps_in_the_product():
    found = {
        str(path.relative_to(ROOT)): lines
        for place in ("app.py", "wsgi.py", "gunicorn.conf.py", "consumer", "web", "cli", "demo")
        for path in modules(place)
        if (lines := sleepers(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_importing_the_app_and_the_web_side_loads_no_kafka_client():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in modules("web")
    ]
    code = f"""
import importlib, sys
for name in {["app", *names]!r}:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.split(".")[0] in {KAFKA!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def named_types(tree):
    """Yield the names of the classes and type aliases of a module, without leading underscores."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")
    for node in tree.body:
        if isinstance(node, ast.Assign) and "TypeVar(" not in ast.unparse(node.value):
            names = map(ast.unparse, node.targets)
            yield from (name.lstrip("_") for name in names if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name))


QUESTION = re.compile(r"_*(is|are|has|have|was|may|must|can|needs|should)_\w+")
"""Names of methods that answer yes or no."""
CHANGING_QUESTIONS = {"Worker.is_parent_alive"}
"""Named by gunicorn."""
CHANGING_CALLS = {"add", "append", "clear", "discard", "extend", "pop", "popitem", "popleft", "remove", "setdefault"}
"""Methods of lists, sets and dictionaries that change them; `update` is one of others, too."""


def own_attributes_set(method):
    """Yield the attributes of `self` that a method assigns, or whose items it does."""
    for node in ast.walk(method):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=name), attr=called)):
                if called in CHANGING_CALLS:
                    yield name
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            match node:
                case ast.Attribute(value=ast.Name(id="self"), attr=name):
                    yield name
                case ast.Subscript(value=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                    yield name


def own_methods_called(method):
    """Yield the names of the methods of `self` that a method calls."""
    for node in ast.walk(method):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                yield name


def changing_questions(tree):
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        methods = {node.name: node for node in owner.body if isinstance(node, ast.FunctionDef)}
        changing = {name for name, method in methods.items() if any(own_attributes_set(method))}
        for _ in methods:
            changing |= {name for name, method in methods.items() if changing & set(own_methods_called(method))}
        yield from (f"{owner.name}.{name}" for name in sorted(changing) if QUESTION.fullmatch(name))


def test_questions_change_nothing():
    found = {
        question
        for package in ("consumer", "web", "cli", "demo")
        for path in modules(package)
        for question in changing_questions(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == CHANGING_QUESTIONS


def test_no_name_of_a_type_is_used_twice():
    public = {"Client", "Message", "Refused", "State"}  # of the Python client, which is installed alone
    places = {}
    for package in ("consumer", "web", "cli", "demo", "bench", "tools", "clients/python"):
        for path in modules(package):
            for name in named_types(ast.parse(path.read_text(encoding="utf-8"))):
                places.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name for name, found in places.items() if len(found) > 1} == public
