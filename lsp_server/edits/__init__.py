"""Next edit: what the user has just changed is offered at the other places where it applies.

`History` makes edits of changed documents, `patterns_of` generalizes an edit, `places_of` finds where a pattern stands,
`chance_of` says how likely it is wanted there, and `Proposer` joins them. Texts and offsets in, texts and offsets out:
nothing here knows the protocol, and no model is asked.
"""
