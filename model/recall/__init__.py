"""Recall: what the repository's own text proposes, ranked against what the coder would write."""
