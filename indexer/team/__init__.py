"""A team's shared vectors: packs of them in an object store, written by CI and pulled by everyone else.

See README.md. `Index` is handed what its protocol `TeamVectors` asks for; nothing here is imported unless a user has
named a store.
"""
