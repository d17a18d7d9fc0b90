"""Blocks: the coder's own keys and values of a node's text, computed once and put into its cache where it is found."""
