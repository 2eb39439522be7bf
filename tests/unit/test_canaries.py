"""What `tools.mutation.mutmut` knows of mutmut."""

import json
import os
from importlib import import_module
from pathlib import Path

import pytest

from libs.backing_services.tests.canary import canary
from tools.mutation.mutmut import IN_A_NAME, KILLED, MUTANT, NO_MUTANT, RESULTS, name_of

MEND = "tools/mutation/mutmut.py"


@canary("mutmut", breaks="`make mutation` counts wrongly what the tests kill", mend=MEND)
def test_mutmut_means_the_same_by_its_exit_codes() -> None:
    status_by_exit_code = import_module("mutmut.stats").status_by_exit_code

    assert {code for code, status in status_by_exit_code.items() if status in {"killed", "timeout"}} == KILLED


@canary("mutmut", breaks="`make mutation` finds no result", mend=MEND)
def test_mutmut_keeps_exit_codes_by_name_beside_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mutants" / "src").mkdir(parents=True)
    data = import_module("mutmut.mutation.data").SourceFileMutationData(path="src/module.py")
    data.exit_code_by_key = {"module.x_function__mutmut_1": 1}
    data.save()

    kept = json.loads((tmp_path / "mutants" / "src" / "module.py.meta").read_text())

    assert kept[RESULTS] == {"module.x_function__mutmut_1": 1}


@canary("mutmut", breaks="`make mutation-diff` fails where a decorated function was changed", mend=MEND)
def test_mutmut_says_so_where_no_mutant_matches() -> None:
    assert NO_MUTANT in Path(str(import_module("mutmut").__file__)).with_name("__main__.py").read_text()


@canary("mutmut", breaks="`make mutation-diff` mutates nothing", mend=MEND)
def test_mutmut_names_functions_and_methods_so() -> None:
    mangle_function_name = import_module("mutmut.mutation.trampoline_templates").mangle_function_name

    names = [mangle_function_name(name="place", class_name=owner) for owner in (None, "Order")]

    assert names == [name_of("place"), name_of("place", "Order")]


@canary("mutmut", breaks="`make mutation ARGS=--spare-tests` finds no test that sees a mutant", mend=MEND)
def test_mutmut_says_which_mutant_a_test_runs_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MUTANT, "before")
    trampoline = import_module("mutmut.mutation.trampoline")
    function_of = import_module("mutmut.utils.format_utils").mangled_name_from_mutant_name
    monkeypatch.setattr(trampoline, "_mutant_under_test", None)

    trampoline.set_mutant_under_test(name := f"module.x_place{IN_A_NAME}1")

    assert os.environ[MUTANT] == name
    assert function_of(name) == "module.x_place"
