"""The files that can't read the services' own tables: a service's entries are put in, and taken out again."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shop_harness.services import ROOT

from tools.new_service.producers import words
from tools.new_service.rendering import environment

COMPOSE = "docker-compose.yml"
PROMETHEUS = "deploy/observability/prometheus.yml"
BEFORE_THE_BROKER = "  # `docker compose --profile broker up"
UNREAD = '{key} = "which {subject}; no service reads the event yet"\n'


@dataclass(frozen=True)
class Wiring:
    """What the static files say of a service; `topics` have their partitions, `before` are the services before it."""

    name: str
    port: int
    topics: Mapping[str, int]
    before: Sequence[str]

    @property
    def upper(self) -> str:
        return self.name.upper()


@dataclass(frozen=True)
class Entry:
    """How a service gets into a file and out of it."""

    file: str
    put: Callable[[str, Wiring], str]
    take: Callable[[str, Wiring], str]


def put(wiring: Wiring) -> Sequence[str]:
    """Write a service's entries; the files that have changed."""
    return [entry.file for entry in entries() if _changed(entry.file, entry.put, wiring)]


def take(wiring: Wiring) -> Sequence[str]:
    """Take a service's entries out; the files that have changed."""
    return [entry.file for entry in entries() if _changed(entry.file, entry.take, wiring)]


def mark_read(event_type: str, producer: str, key: str) -> bool:
    """An event that nobody read has a reader now: its key goes from its publisher's list. Whether it stood there."""
    path = ROOT / "services" / producer / "pyproject.toml"
    text = path.read_text()
    listed = tomllib.loads(text)["tool"]["shop"].get("unread", {}).get(event_type, {})
    if key not in listed:
        return False
    head = f'[tool.shop.unread."{event_type}"]\n'
    before, _, after = text.partition(head)
    table, rest = _up_to_the_next_table(after)
    path.write_text(before + head + re.sub(rf"(?m)^{key} = .*\n", "", table, count=1) + rest)
    return True


def mark_unread(event_type: str, producer: str, key: str) -> None:
    """Nobody reads an event any more: its publisher's list says of its key what a new service's says."""
    path = ROOT / "services" / producer / "pyproject.toml"
    head = f'[tool.shop.unread."{event_type}"]\n'
    line = UNREAD.format(key=key, subject=words(key.removesuffix("_id")))
    path.write_text(path.read_text().replace(head, head + line, 1))


def _up_to_the_next_table(text: str) -> tuple[str, str]:
    end = text.find("\n[")
    return (text, "") if end < 0 else (text[:end], text[end:])


def _changed(file: str, change: Callable[[str, Wiring], str], wiring: Wiring) -> bool:
    path = ROOT / file
    before = path.read_text()
    after = change(before, wiring)
    path.write_text(after)
    return after != before


def entries() -> Iterator[Entry]:
    yield Entry(COMPOSE, _put_into_compose, _take_out_of_compose)
    yield Entry(PROMETHEUS, _put_into_prometheus, _take_out_of_prometheus)
    yield Entry(".importlinter", _put_into_layers, _take_out_of_layers)
    for file in sorted(ROOT.glob("services/*/.importlinter")):
        yield Entry(file.relative_to(ROOT).as_posix(), _put_into_layers, _take_out_of_layers)
    for page in (Path("README.md"), Path("docs/README.md")):
        yield Entry(page.as_posix(), _put_into_links, _take_out_of_links)
    yield Entry("docs/site/mkdocs.yml", _put_into_navigation, _take_out_of_navigation)


# --- docker-compose.yml ---


def _put_into_compose(text: str, wiring: Wiring) -> str:
    if f"\n  {wiring.name}:\n" in text:
        return text
    for topic, partitions in wiring.topics.items():
        text = re.sub(r"( TOPICS: \S.*?)(  # )", rf"\1 {topic}={partitions}\2", text, count=1)
    variable = f"{wiring.upper}_DATABASE_PASSWORD"
    last = next(
        match.end() for match in re.finditer(r"(?m)^      [A-Z_]+_DATABASE_PASSWORD: .*\n(?=    volumes:)", text)
    )
    text = f"{text[:last]}      {variable}: ${{{variable}:-{wiring.name}}}\n{text[last:]}"
    image = wiring.name.replace("_", "-")
    block = environment(Path(__file__).parent).get_template("compose.yml.jinja")
    services = block.render(name=wiring.name, upper=wiring.upper, port=wiring.port, image=image)
    own = f'"{wiring.name}": "http://{wiring.name}:{wiring.port}"'
    text = re.sub(
        r"(CONSOLE_SERVICES: >-\n(?:        .*\n)*?        .*)\}\n", rf"\1,\n        {own}}}\n", text, count=1
    )
    before, mark, after = text.partition(BEFORE_THE_BROKER)
    return f"{before.rstrip()}\n\n{services}\n{mark}{after}"


def _take_out_of_compose(text: str, wiring: Wiring) -> str:
    for topic, partitions in wiring.topics.items():
        text = text.replace(f" {topic}={partitions}", "", 1)
    text = re.sub(rf',\n        "{wiring.name}": "http://{wiring.name}:\d+"', "", text)
    for one in ("partner", "migrate", ""):
        service = f"{wiring.name}-{one}" if one else wiring.name
        text = re.sub(rf"(?m)^  {service}:\n(?:    .*\n|\n(?=    ))*\n", "", text, count=1)
    return re.sub(rf"(?m)^      {wiring.upper}_DATABASE_PASSWORD: .*\n", "", text)


# --- deploy/observability/prometheus.yml: its last part is the list of services ---


def _put_into_prometheus(text: str, wiring: Wiring) -> str:
    return text if f"job_name: {wiring.name}\n" in text else text + _job(wiring)


def _take_out_of_prometheus(text: str, wiring: Wiring) -> str:
    return text.replace(_job(wiring), "")


def _job(wiring: Wiring) -> str:
    target = f"{wiring.name}:{wiring.port}"
    return f'  - job_name: {wiring.name}\n    static_configs: [{{targets: ["{target}"]}}]\n'


# --- .importlinter: a service stands in each list that has the others ---


LISTED = re.compile(r"(?m)^(root_packages|forbidden_modules) =\n((?:    .*\n)+)")


def _put_into_layers(text: str, wiring: Wiring) -> str:
    lists = [found[2].split() for found in LISTED.finditer(text)]
    if [wiring.name, "outboxed"] in lists:  # its own file
        return text

    def with_it(found: re.Match[str]) -> str:
        listed = found[2].split()
        last = max((listed.index(one) for one in wiring.before if one in listed), default=None)
        if last is None or wiring.name in listed or listed[1:] == ["outboxed"]:  # the roots of another service
            return found[0]
        return _list(found[1], [*listed[: last + 1], wiring.name, *listed[last + 1 :]])

    return LISTED.sub(with_it, text)


def _take_out_of_layers(text: str, wiring: Wiring) -> str:
    """From the lists that have services: a layer may have the same name."""
    return LISTED.sub(lambda found: _list(found[1], [one for one in found[2].split() if one != wiring.name]), text)


def _list(name: str, listed: Sequence[str]) -> str:
    return f"{name} =\n" + "".join(f"    {one}\n" for one in listed)


# --- pages ---


def _put_into_links(text: str, wiring: Wiring) -> str:
    if f"services/{wiring.name}/README.md" in text:
        return text
    link = re.compile(
        rf"(\[(?:services/)?{wiring.before[-1]}\]\(((?:\.\./)?services)/{wiring.before[-1]}/README\.md\))"
    )
    return link.sub(rf"\1, [{wiring.name}](\2/{wiring.name}/README.md)", text, count=1)


def _take_out_of_links(text: str, wiring: Wiring) -> str:
    return re.sub(rf", \[{wiring.name}\]\((?:\.\./)?services/{wiring.name}/README\.md\)", "", text)


def _put_into_navigation(text: str, wiring: Wiring) -> str:
    last, title = wiring.before[-1], words(wiring.name).capitalize()
    if f"services/{wiring.name}/README.md" in text:
        return text
    text = re.sub(
        rf"(?m)^( +)- services/{last}/README\.md\n", rf"\g<0>\1- services/{wiring.name}/README.md\n", text, count=1
    )
    return re.sub(
        rf"(?m)^( +)- .*: behaviours/{last}\.md\n", rf"\g<0>\1- {title}: behaviours/{wiring.name}.md\n", text, count=1
    )


def _take_out_of_navigation(text: str, wiring: Wiring) -> str:
    return re.sub(rf"(?m)^.*(?:services/{wiring.name}/README|behaviours/{wiring.name})\.md\n", "", text)
