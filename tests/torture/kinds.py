"""All kinds of torture, by name."""

from __future__ import annotations

from tests.torture import damage, disk, files, kill, protocol, two

KINDS = {kind.name: kind for kind in (files.KIND, protocol.KIND, kill.KIND, damage.KIND, two.KIND, disk.KIND)}
