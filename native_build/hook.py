"""The build hook of the package: compiles the native core where there is a C compiler, and does without where not.

`make wheels` sets BOOTCAST_CC and BOOTCAST_WHEEL_TAG to build for another processor.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IN_WHEEL = "carousel/native/libcarousel.so"


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds libcarousel.so to the wheel; it is one for every Python of a platform (cffi's ABI mode).

    An editable installation has it beside its sources; any other is built in a folder of its own.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are gathered."""
        if self.target_name != "wheel":
            return
        self._folder = TemporaryDirectory()
        output = Path(self.root, IN_WHEEL) if version == "editable" else Path(self._folder.name, "libcarousel.so")
        if not self._compile(output):
            return
        if version != "editable":
            build_data["force_include"][str(output)] = IN_WHEEL
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = os.environ.get("BOOTCAST_WHEEL_TAG", f"py3-none-{platform}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder, when the wheel is written."""
        if self.target_name == "wheel":
            self._folder.cleanup()

    def _compile(self, output: Path) -> bool:
        sys.path.insert(0, self.root)
        from native_build.compile import compile_library, compiler  # noqa: PLC0415

        cross = os.environ.get("BOOTCAST_CC")
        command = shlex.split(cross) if cross else compiler()
        output.unlink(missing_ok=True)
        if command is None:
            self.app.display_warning("no C compiler: built without the native core, NumPy serves instead")
            return False
        try:
            compile_library(command, output)
        except (OSError, subprocess.CalledProcessError) as error:
            if cross:
                raise
            said = getattr(error, "stderr", None) or str(error)
            self.app.display_warning(f"built without the native core, NumPy serves instead: {said.strip()}")
            return False
        return True
