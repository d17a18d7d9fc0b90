"""All kinds of torture, by name."""

from __future__ import annotations

from tests.torture import damage, files, kill, two

KINDS = {kind.name: kind for kind in (files.KIND, kill.KIND, damage.KIND, two.KIND)}
