"""Compile the accelerator of the message parser where a C compiler is; without one the package is pure Python.

Both give the same outcome for every message (tests/message/test_scan.py), so a failure to compile is told and passed
over. ``RINGFENCE_PURE=1`` leaves it out on purpose.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "ringfence.message._scan"


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before a wheel or an editable install is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have the result taken into the wheel."""
        if self.target_name != "wheel" or os.environ.get("RINGFENCE_PURE"):
            return
        try:
            compile_module(Path(self.root))
        except (
            BaseException
        ) as error:  # distutils ends with SystemExit; whatever it is, pure Python works too
            self.app.display_warning(
                f"the parser's accelerator was not compiled ({error}); going on without it"
            )
            return
        build_data["artifacts"].append("src/ringfence/message/_scan.*.so")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_module(root: Path, *flags: str) -> None:
    """Compile the module in place, with further compiler and linker flags (a sanitizer, say)."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    source = root / "src" / Path(*MODULE.split(".")).with_suffix(".pyx")
    build = root / "build" / "native"
    extension = Extension(
        MODULE, [str(source)], extra_compile_args=["-O3", *flags], extra_link_args=list(flags)
    )
    modules = cythonize(
        [extension], build_dir=str(build), quiet=True, compiler_directives={"language_level": 3}
    )
    distribution = Distribution({"name": "ringfence", "ext_modules": modules})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = str(build / "lib")
    command.build_temp = str(build)
    command.ensure_finalized()
    command.run()
    for made in (build / "lib").rglob("_scan*.so"):
        # Put in place at once: a process that runs may have the old one mapped.
        fresh = source.parent / f".{made.name}"
        shutil.copy(made, fresh)
        fresh.replace(source.parent / made.name)


if __name__ == "__main__":
    compile_module(Path(__file__).parent, *sys.argv[1:])
