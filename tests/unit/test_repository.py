"""Laws of the repository: what the documents say is what is there."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from slipway.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("embedded", "infra", "oci", "pipelines", "serving", "slipway", "storage", "tabular", "bench")
MODULES = {path.name for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*.py")}
ADRS = ROOT / "docs" / "adr"
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code(text: str) -> Iterator[str]:
    """Yield each line of the code blocks of a page, and each piece of code in its prose."""
    blocks = re.split(r"^```.*$", text, flags=re.MULTILINE)
    for number, part in enumerate(blocks):
        yield from part.splitlines() if number % 2 else re.findall(r"`([^`]+)`", part)


def command_lines(text: str) -> Iterator[str]:
    """Yield every `slipway …` in a text, up to where the shell would end it."""
    for each in code(text):
        line = re.sub(r"\s#.*", "", each)
        for found in re.finditer(r"(?:^|[\s($\"])slipway ([^)|;&`]+)", line):
            yield found[1].strip()


def refusal(line: str) -> str:
    """Return why the command line is none of Slipway's, or nothing; what it leaves out is not asked for."""
    words = [word for word in shlex.split(line) if word != "--json"]
    command: Any = typer.main.get_command(app.app)
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        found = command.get_command(typer.Context(command), words[0])
        if found is None:
            return f"there is no command {words[0]!r}"
        command, words = found, words[1:]
    if hasattr(command, "get_command"):
        return "" if words in ([], ["--help"]) else f"{words} on a group"
    taken = {option: each for each in command.params for option in each.opts if option.startswith("-")}
    places = [each for each in command.params if each.param_type_name == "argument"]
    given = 0
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            given += 1
        elif word.partition("=")[0] not in {*taken, "--help"}:
            return f"there is no option {word}"
        elif "=" not in word and word != "--help" and not taken[word].is_flag:
            next(rest, None)
    return f"{given} arguments, it takes {len(places)}" if given > len(places) else ""


QUOTED = sorted({(name(page), line) for page in PAGES for line in command_lines(page.read_text())})


@pytest.mark.parametrize(("page", "line"), QUOTED)
def test_every_command_that_a_page_quotes_exists(page, line):
    assert not refusal(line), f"{page}: slipway {line}"


def test_the_readme_quotes_commands():
    """The control: the law above would hold for a page that none was found on."""
    assert len([line for page, line in QUOTED if page == "README.md"]) >= 10


@pytest.mark.parametrize(
    "line", ["nosuch", "model nosuch", "up local --nosuch", "up local extra", "model --tenant team-a"]
)
def test_what_is_no_command_is_found_out(line):
    assert refusal(line)


@pytest.mark.parametrize(
    "line",
    ["up local", "env", "pipeline run training -t team-a --data x.csv --json", "outputs local kfp.endpoint"],
)
def test_what_is_a_command_is_taken(line):
    assert not refusal(line)


def test_every_example_in_the_help_can_be_called():
    def examples(group: Any) -> Iterator[str]:
        context = typer.Context(group)
        for each in group.list_commands(context):
            command = group.get_command(context, each)
            yield from command_lines(f"`{command.help.partition('Example:')[2].strip()}`")
            if hasattr(command, "list_commands"):
                yield from examples(command)

    found = list(examples(typer.main.get_command(app.app)))
    assert len(found) >= 20
    assert not [(line, refusal(line)) for line in found if refusal(line)]


def messages(path: Path) -> Iterator[str]:
    """Yield every text of a module, with a letter in place of what is filled in."""
    inner: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


@pytest.mark.parametrize("package", PACKAGES)
def test_every_command_in_a_message_exists(package):
    wrong = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for text in messages(path):
            run = [f"`{each}`" for each in re.findall(r"\w: (slipway [^\n]+)", text)]
            start = [f"`{text}`"] if text.startswith("slipway ") and "\n" not in text else []
            for line in command_lines(" ".join([text, *run, *start])):
                if refusal(line):
                    wrong.append(f"{name(path)}: slipway {line}: {refusal(line)}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_a_page_quotes_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    quoted = {
        found for line in code(page.read_text()) for found in re.findall(r"(?:^|\s)make ([a-z]+)", line)
    }
    assert quoted <= targets


def test_make_declares_every_target_as_phony():
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert explained == set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)), "make help would miss one"
    assert set(phony.split()) >= explained
    assert not set(phony.split()) - explained, "declared, but there is no such target"


def anchors(page: Path) -> set[str]:
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_resolve(page):
    for link in _LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_module_that_a_page_names_is_there(page):
    """A path is one from the root; a name alone is that of some module."""
    quoted = {
        path for line in code(page.read_text()) for path in re.findall(r"(?<![\w/.])[\w/.-]+\.py\b", line)
    }
    assert sorted(path for path in quoted if not ((ROOT / path).is_file() or path in MODULES)) == []


def test_pages_are_found_from_the_readme():
    """Nobody reads a page that nothing leads to."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    while waiting:
        page = waiting.pop()
        if page.is_dir():
            page = page / "README.md"
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        text = page.read_text()
        links = [link.partition("#")[0] for link in _LINK.findall(text) if ":" not in link]
        waiting += [(page.parent / link).resolve() for link in links]
        waiting += [ROOT / path for path in re.findall(r"`(docs/[\w./-]+\.md)`", text)]  # not made yet, maybe
    assert [name(page) for page in PAGES if page not in reached] == []


def test_every_decision_is_listed_and_every_listed_one_is_there():
    index = (ADRS / "README.md").read_text()
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", index, re.MULTILINE)
    assert [file for _, file, _ in listed] == sorted(path.name for path in ADRS.glob("[0-9]*.md"))
    for number, file, title in listed:
        assert file.startswith(f"{number}-")
        assert (ADRS / file).read_text().startswith(f"# {number}: {title}\n"), file
    assert [number for number, _, _ in listed] == [f"{count:04}" for count in range(1, len(listed) + 1)]


def test_the_changelog_begins_with_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


@pytest.mark.parametrize("stack", sorted((ROOT / "stacks").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_page_that_a_template_names_is_there(stack):
    for page in re.findall(r"\bdocs/[\w./-]+\.\w+", stack.read_text()):
        assert (ROOT / page).is_file(), page


def test_the_pure_modules_are_held_to_it():
    """A module whose docstring says "Pure" is named by the import contract that keeps it so."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [each for each in settings["contracts"] if each["name"].startswith("pure modules")]
    pure = {
        name(path).removesuffix(".py").replace("/", ".")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    assert set(contract["source_modules"]) == pure


@pytest.mark.parametrize("folder", ["unit", "contract", "e2e"])
def test_a_test_name_has_fewer_than_60_characters(folder):
    names = [
        (name(path), node.name)
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 20, "the control"
    assert [each for each in names if len(each[1]) >= 60] == []
