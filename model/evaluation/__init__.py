"""Measures completions on real code: tasks with a hole, a live index of the repository around it, and the same
`Completer` as the server. Nothing that serves imports this package.
"""
