"""All kinds of torture, by name."""

from __future__ import annotations

from tests.torture import checkpoints, damage, disk, files, hostile, kill, protocol, two, typed

MODULES = (files, protocol, kill, damage, hostile, checkpoints, two, disk, typed)
KINDS = {module.KIND.name: module.KIND for module in MODULES}
