"""All kinds of torture, by name."""

from __future__ import annotations

from tests.torture import damage, files

KINDS = {kind.name: kind for kind in (files.KIND, damage.KIND)}
