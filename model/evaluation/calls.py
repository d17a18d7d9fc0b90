"""Where a file calls what another file of its repository defines: the places of `api` tasks.

RepoEval's finder (microsoft/CodeT, RepoCoder/make_dataset) takes a call whose name is that of something imported from
the repository, or of a method of a class imported from there. Here imports are followed to the definition instead of
by name. Methods are still found by their name, as no types are known, but not where a built-in type or the file itself
has one of that name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from model.evaluation.definitions import Bound, Definition, Module, ModuleGraph, Target, imports_of, parse

_BUILT_IN = frozenset(name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind))


def calls_elsewhere(graph: ModuleGraph, path: str, text: str) -> Iterator[tuple[int, int]]:
    """(first, last) line of each call in `text` to a function, class or method that another file defines; 0-based."""
    nodes = [node for statement in parse(text) for node in ast.walk(statement)]
    imports = dict(imports_of(node for node in nodes if isinstance(node, ast.stmt)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    methods = _methods(_imported(graph, path, imports)) - own - _BUILT_IN
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        by_name = isinstance(node.func, ast.Attribute) and node.func.attr in methods
        if by_name or _is_elsewhere(_callee(graph, path, imports, node.func), path):
            yield node.lineno - 1, (node.end_lineno or node.lineno) - 1


def _imported(graph: ModuleGraph, path: str, imports: Mapping[str, Target]) -> Iterator[Definition]:
    for target in imports.values():
        bound = graph.resolve(target, path)
        if isinstance(bound, Definition) and bound.path != path:
            yield bound


def _methods(definitions: Iterable[Definition]) -> set[str]:
    """Names of the methods of these classes but for those that Python calls itself."""
    members = (member for one in definitions for member in one.members.values())
    return {one.name for one in members if _is_function(one) and not one.name.startswith("__")}


def _callee(graph: ModuleGraph, path: str, imports: Mapping[str, Target], called: ast.expr) -> Bound | None:
    """What a name or a chain of names means that begins with an import; None for anything else."""
    names: list[str] = []
    while isinstance(called, ast.Attribute):
        names.insert(0, called.attr)
        called = called.value
    if not isinstance(called, ast.Name):
        return None
    names.insert(0, called.id)
    for n in range(len(names), 0, -1):  # `import a.b` binds "a.b"
        target = imports.get(".".join(names[:n]))
        if target and (bound := graph.resolve(target, path)):
            return graph.follow(bound, names[n:])
    return None


def _is_elsewhere(bound: Bound | None, path: str) -> bool:
    if bound is None or isinstance(bound, Module) or bound.path == path:
        return False
    return bound.is_class or _is_function(bound)


def _is_function(definition: Definition) -> bool:
    return definition.text.lstrip().startswith(("def ", "async def "))
