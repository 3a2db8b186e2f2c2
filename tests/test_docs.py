# SPDX-License-Identifier: BSD-3-Clause
"""README and docs say what is so: what they name exists, what they show runs, and public docstrings are complete.

Python examples with prompts, there and in docstrings, are doctests, which pytest collects by itself (pyproject.toml).
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import polycore as pc
from polycore import cli

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "polycore"
PAGES = {
    str(p.relative_to(ROOT)): p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bench" / "README.md")
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

page = pytest.mark.parametrize("page", list(PAGES))


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [body for language, body in FENCE.findall(text_of(page)) if language in languages]


def test_the_pages_are_there() -> None:
    expected = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    expected |= {f"docs/{name}.md" for name in ("architecture", "conventions", "cpp", "mathematics", "report")}
    assert expected <= set(PAGES)


# -- what they name ---------------------------------------------------------------------------------------------------


@page
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page)):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (PAGES[page].parent / target).exists(), target


@page
def test_names_of_the_package_exist(page: str) -> None:
    for path in re.findall(r"\bpc\.(\w+(?:\.\w+)*)", text_of(page)):
        value: Any = pc
        for name in path.split("."):
            assert hasattr(value, name), f"pc.{path}"
            value = getattr(value, name)


def test_files_of_the_architecture_exist() -> None:
    text = text_of("docs/architecture.md")
    named = re.findall(r"`([\w./*]+\.(?:py|hpp|cpp|md|txt|\*))`", text)
    assert len(named) > 30
    known = [
        str(p.relative_to(ROOT))
        for top in ("cpp", "python", "tests", "bench", "cmake")
        for p in (ROOT / top).rglob("*")
    ]
    known += [p.name for p in ROOT.iterdir()]
    for name in set(named):
        pattern = re.compile(r"(.*/)?" + re.escape(name).replace(r"\*", r"[^/]*"))
        assert any(pattern.fullmatch(path) for path in known), name


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"`make ([a-z]+)", text_of(page))
        named += [
            target for body in blocks(page, "", "sh") for target in re.findall(r"^make ([a-z]+)", body, re.MULTILINE)
        ]
        assert set(named) <= targets, page


def test_newcomers_get_two_commands() -> None:
    commands = re.findall(r"^make \w+", "\n".join(blocks("README.md", "sh")), re.MULTILINE)
    assert commands == ["make demo", "make test"]


def test_command_lines_parse() -> None:
    lines = [
        line.split("#")[0]
        for page in PAGES
        for body in blocks(page, "", "sh")
        for line in body.replace("\\\n", " ").splitlines()
        if re.match(r"(\.venv/bin/)?polycore ", line)
    ]
    assert any("report" in line for line in lines)
    for line in lines:
        cli._parser().parse_args(shlex.split(line)[1:])  # UsageError if an option is unknown or missing


def test_extras_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^(\w+) = \[", project.partition("[project.optional-dependencies]")[2], re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"(?:polycore|'\.)\[([a-z,]+)\]", text_of(page)):
            assert set(named.split(",")) <= extras, page


# -- what they show ---------------------------------------------------------------------------------------------------


@page
def test_python_without_prompts_compiles(page: str) -> None:
    for body in blocks(page, "python"):
        if ">>>" not in body:
            compile(body, page, "exec")


def test_the_worked_example_has_six_lines() -> None:
    first = blocks("README.md", "python")[0]
    assert first.count(">>> ") == 6
    assert "... " not in first


def cpp_programs() -> Iterator[Any]:
    for page in PAGES:
        for number, (body, output) in enumerate(
            re.findall(r"^```cpp\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", text_of(page), re.MULTILINE | re.DOTALL)
        ):
            yield pytest.param(body, output, id=f"{page}-{number}")


@pytest.mark.parametrize(("body", "output"), list(cpp_programs()))
def test_cpp_programs_run(body: str, output: str, tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    try:
        include = Path(pc.get_include())
    except FileNotFoundError:
        pytest.skip("the C++ library is not installed")
    if compiler is None:
        pytest.skip("no C++ compiler")
    (tmp_path / "main.cpp").write_text(body, encoding="utf-8")
    strict = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]
    library = include.parent / "lib" / "libpolycore.a"
    program = tmp_path / "program"
    subprocess.run(
        [compiler, *strict, f"-I{include}", tmp_path / "main.cpp", library, "-pthread", "-o", program], check=True
    )
    printed = subprocess.run([program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed == (output or "-8\n-20\n-12\n")


# -- layers -----------------------------------------------------------------------------------------------------------


def layers() -> dict[str, int]:
    """Python module -> layer, from the table in docs/architecture.md."""
    rows = re.findall(r"^\| (\d) \|[^|]*\|[^|]*\| `([^`]*)` \|$", text_of("docs/architecture.md"), re.MULTILINE)
    return {module: int(layer) for layer, modules in rows for module in modules.split()}


def test_every_module_has_a_layer() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(layers()) == modules


@pytest.mark.parametrize("module", sorted(layers()))
def test_imports_never_point_upward(module: str) -> None:
    level = layers()
    # Imports at the top of the module; those for type checking, or inside functions, are not executed with it.
    for node in ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                assert level[str(name)] <= level[module], f"{module} imports {name}"


# -- docstrings -------------------------------------------------------------------------------------------------------


def _members(value: type) -> dict[str, Any]:
    """What a class defines, or inherits from classes of the package that are not public themselves."""
    private = [c for c in value.__mro__[1:] if c.__module__.startswith("polycore") and c.__name__ not in pc.__all__]
    return {name: member for owner in (*reversed(private), value) for name, member in vars(owner).items()}


def public_callables() -> Iterator[tuple[str, Any]]:
    """Public functions, classes, and the methods and properties that public classes define."""
    for name in pc.__all__:
        value = getattr(pc, name)
        if not callable(value):
            continue
        yield name, value
        for method, raw in _members(value).items() if inspect.isclass(value) else ():
            function = raw.__func__ if isinstance(raw, (classmethod, staticmethod)) else raw
            if not method.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                yield f"{name}.{method}", function


CALLABLES = dict(public_callables())


@pytest.mark.parametrize("name", list(CALLABLES))
def test_public_docstrings_are_complete(name: str) -> None:
    value = CALLABLES[name]
    text = inspect.getdoc(value)
    assert text, "no docstring"
    assert text.splitlines()[0].endswith((".", ":")), "the first line is a sentence"
    if inspect.isfunction(value):
        parameters = [p for p in inspect.signature(value).parameters if p not in ("self", "cls")]
        for parameter in parameters:
            assert re.search(rf"\b{parameter}\b", text), f"`{parameter}` is not described"
        if parameters:
            assert "Parameters\n---" in text
    if inspect.isfunction(value) and "." not in name and inspect.signature(value).parameters:
        assert "Raises\n---" in text
