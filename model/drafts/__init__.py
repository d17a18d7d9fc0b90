"""Drafts: token sequences that may come next, from what the repository and the session already say."""
