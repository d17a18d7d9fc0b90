"""Which license a repository has, as far as its own files say. Unknown is not permissive."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.parser import HeaderParser

# What a license text must contain, and what makes it another license in spite of that.
_TEXTS = (
    ("Apache-2.0", r"apache license,?\s+version 2\.0"),
    ("BSD", r"redistribution and use in source and binary forms"),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("ISC", r"permission to use, copy, modify,? and/?(or)? distribute this software"),
    ("PSF-2.0", r"python software foundation license"),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("BSL-1.0", r"boost software license - version 1\.0"),
    ("Zlib", r"provided 'as-is', without any express or implied warranty"),
)
_RESTRICTED = re.compile(
    r"gnu (affero |lesser |library )?general public|\b[al]?gpl\b|mozilla public|non-?commercial"
    r"|research (purposes|use) only|business source"
    r"|eclipse public|creative commons|cecill|elastic license|commons clause|server side public"
)
_PERMISSIVE_NAME = re.compile(
    r"(the )?mit(-0| license)?( \(mit\))?|isc( license)?( \(iscl\))?|0bsd|zlib|zlib/libpng license"
    r"|apache|apache[ -](software license|license)?,?[ -]?(version )?2(\.0)?|apache software license"
    r"|(new |modified |simplified )?bsd( license)?|bsd[ -][23][ -]clause( license)?"
    r"|bsl-1\.0|psf(-2\.0)?|python-2\.0|python software foundation license|(the )?unlicense( \(unlicense\))?"
)


def license_of_text(text: str) -> str | None:
    """SPDX-like name of a permissive license text; None when it is another one or unknown."""
    plain = re.sub(r"\s+", " ", text.lower())
    if _RESTRICTED.search(plain):
        return None
    return next((name for name, pattern in _TEXTS if re.search(pattern, plain)), None)


def license_of_texts(texts: Iterable[str]) -> str | None:
    """The license of a repository with these license files; None unless every one of them is permissive."""
    names = [license_of_text(text) for text in texts]
    return " AND ".join(sorted({n for n in names if n})) if names and all(names) else None


def license_of_metadata(metadata: str) -> str | None:
    """The license that METADATA or PKG-INFO declares: expression, else classifiers, else name or text."""
    headers = HeaderParser().parsestr(metadata)
    expression = headers.get("License-Expression")
    if expression:
        return permissive_names(expression)
    classifiers = [
        c.rsplit(" :: ", 1)[1] for c in headers.get_all("Classifier", []) if c.startswith("License :: OSI")
    ]
    if classifiers:
        return _if_permissive([c for c in classifiers if c != "OSI Approved"])
    field = headers.get("License", "")
    return _if_permissive([field]) or license_of_text(field)


def permissive_names(expression: str) -> str | None:
    """Of an SPDX expression, None unless every license in it is permissive."""
    return _if_permissive(re.split(r"\s+(?:AND|OR)\s+", expression.replace("(", "").replace(")", "")))


def _if_permissive(names: list[str]) -> str | None:
    plain = [name.strip() for name in names]
    if plain and all(_PERMISSIVE_NAME.fullmatch(name.lower()) for name in plain):
        return " AND ".join(sorted(set(plain)))
    return None
