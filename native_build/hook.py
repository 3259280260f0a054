"""The build hook of the package: compiles the native core where there is a C compiler, and does without where not.

`make wheels` sets BOOTCAST_CC and BOOTCAST_WHEEL_TAG to build for another processor.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds libcarousel.so to the wheel; it is one for every Python of a platform (cffi's ABI mode)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are gathered."""
        if self.target_name != "wheel":
            return
        sys.path.insert(0, self.root)
        from native_build.compile import LIBRARY, compile_library, compiler  # noqa: PLC0415

        cross = os.environ.get("BOOTCAST_CC")
        command = shlex.split(cross) if cross else compiler()
        LIBRARY.unlink(missing_ok=True)
        if command is None:
            self.app.display_warning("no C compiler: built without the native core, NumPy serves instead")
            return
        try:
            compile_library(command, LIBRARY)
        except (OSError, subprocess.CalledProcessError) as error:
            if cross:
                raise
            said = getattr(error, "stderr", None) or str(error)
            self.app.display_warning(f"built without the native core, NumPy serves instead: {said.strip()}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append("carousel/native/libcarousel.so")
        build_data["pure_python"] = False
        build_data["tag"] = os.environ.get("BOOTCAST_WHEEL_TAG", f"py3-none-{platform}")
