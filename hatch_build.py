"""Compile what every message passes, where a C compiler is; without one the package is pure Python.

Two steps, both leave the outcome of every message as it is, and both are passed over with a warning when they fail:

- ``message/_scan.pyx``, the scanner of ordinary messages, ``transport/_datagrams.pyx``, the reads and writes of a UDP
  socket, and ``transport/_legs.pyx``, the ports of the media relay, by Cython. In every install, an editable one too:
  their sources are not the Python files that somebody edits.
- The Python modules of ``COMPILED``, by mypyc, from their own type annotations. Only in wheels (``pip install .``),
  since a compiled module hides later edits of its source.

``RINGFENCE_PURE=1`` leaves out both; ``RINGFENCE_COMPILED=1`` has the build fail where one of them fails.
``ringfence --version`` tells what became of it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCANNER = "ringfence.message._scan"
LEGS = "ringfence.transport._legs"
DATAGRAMS = "ringfence.transport._datagrams"

COMPILED = (
    "message/*.py",
    "message/fields/*.py",
    "engine/*.py",
    "security/canonical.py",
    "security/claims.py",
    "security/diversion.py",
    "security/findings.py",
    "security/identity.py",
    "security/mediakeys.py",
    "security/passport.py",
    "security/replay.py",
    "security/sealing.py",
    "security/verification.py",
    "security/verstat.py",
    "security/tokens.py",
    "security/nonces.py",
    "security/digest.py",
    "security/credentials.py",
    "roles/*.py",
    "roles/bridge/*.py",
    "roles/steps/*.py",
    "roles/steps/register/*.py",
    "guard/bans.py",
    "guard/gate.py",
    "guard/guesses.py",
    "guard/neighbours.py",
    "guard/rates.py",
    "guard/sources.py",
    "security/asserted.py",
    "service/handled.py",
    "transport/driver.py",
    "transport/tokens.py",
)
"""The way of one message through the node, from its bytes to the bytes that leave."""

LEFT_OUT = frozenset(
    {
        # It waits for others, in ways that mypyc does not know:
        "remote",
        "__init__",
    }
)
"""Modules beside them that a proxied call does not pass."""


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before a wheel or an editable install is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the results taken into the wheel."""
        if self.target_name != "wheel" or os.environ.get("RINGFENCE_PURE"):
            return
        root = Path(self.root)
        made = False
        for what, module in (("the scanner", SCANNER), ("the media relay", LEGS), ("datagrams", DATAGRAMS)):
            if self._try(what, partial(compile_native, root, module)):
                made = True
                build_data["artifacts"].append(f"src/{module.replace('.', '/')}.*.so")
        if version != "editable":
            compiled = root / "build" / "mypyc"
            if self._try("the hot path", lambda: compile_modules(root, compiled)):
                made = True
                for path in compiled.rglob("*.so"):
                    build_data["force_include"][str(path)] = str(path.relative_to(compiled))
        if made:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def _try(self, what: str, compile_it: Any) -> bool:
        try:
            compile_it()
        except (
            BaseException
        ) as error:  # distutils ends with SystemExit; whatever it is, pure Python works too
            if os.environ.get("RINGFENCE_COMPILED"):
                raise
            self.app.display_warning(f"{what} was not compiled ({error}); going on without it")
            return False
        return True


def compile_scanner(root: Path, *flags: str) -> None:
    """Compile the scanner in place, with further compiler and linker flags (a sanitizer, say)."""
    compile_native(root, SCANNER, *flags)


def compile_native(root: Path, module: str, *flags: str) -> None:
    """Compile a Cython module in place."""
    from Cython.Build import cythonize
    from setuptools import Extension

    source = root / "src" / Path(*module.split(".")).with_suffix(".pyx")
    build = root / "build" / "native" / source.stem
    extension = Extension(
        module, [str(source)], extra_compile_args=["-O3", *flags], extra_link_args=list(flags)
    )
    modules = cythonize(
        [extension], build_dir=str(build), quiet=True, compiler_directives={"language_level": 3}
    )
    _build(modules, build, build / "lib")
    for made in (build / "lib").rglob(f"{source.stem}*.so"):
        # Put in place at once: a process that runs may have the old one mapped.
        fresh = source.parent / f".{made.name}"
        shutil.copy(made, fresh)
        fresh.replace(source.parent / made.name)


def compile_modules(root: Path, target: Path) -> None:
    """Compile the modules of ``COMPILED`` into a tree of shared objects at ``target``."""
    from mypyc.build import mypycify

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as work:
        os.chdir(root / "src")  # mypyc names modules by the paths that it is given
        try:
            options = [
                "--ignore-missing-imports",
                "--no-warn-unused-ignores",
                # The rest of the package needs libraries that are not here while a wheel is made.
                "--follow-imports=silent",
                *modules_to_compile(root),
            ]
            # A C file for each module, so that several are compiled at a time; the code is no slower for it.
            extensions = mypycify(options, opt_level="2", target_dir=work, multi_file=True)
            if sys.platform == "linux":  # calls among our own functions go straight to them
                for each in extensions:
                    each.extra_compile_args += ["-fno-semantic-interposition", "-fno-plt"]
                    each.extra_link_args += ["-Wl,-Bsymbolic-functions"]
            _build(extensions, Path(work), target)
        finally:
            os.chdir(here)


def modules_to_compile(root: Path) -> Iterator[str]:
    """The paths of the modules, from ``src``."""
    source = root / "src"
    for pattern in COMPILED:
        for path in sorted((source / "ringfence").glob(pattern)):
            if path.stem not in LEFT_OUT:
                yield str(path.relative_to(source))


def _build(modules: list[Any], work: Path, target: Path) -> None:
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class Parallel(build_ext):
        """Also compiles the files of one extension at the same time, as many as there are cores."""

        def build_extensions(self) -> None:
            compile_one = self.compiler.compile

            def compile_all(sources: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    made = pool.map(lambda source: compile_one([source], **options), sources)
                    return [each for objects in made for each in objects]

            self.compiler.compile = compile_all
            super().build_extensions()

    distribution = Distribution(
        {"name": "ringfence", "ext_modules": modules, "cmdclass": {"build_ext": Parallel}}
    )
    command = distribution.get_command_obj("build_ext")
    command.build_lib = str(target)
    command.build_temp = str(work)
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    for each in (SCANNER, LEGS, DATAGRAMS):
        compile_native(Path(__file__).parent, each, *sys.argv[1:])
