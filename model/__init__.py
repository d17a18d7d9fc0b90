"""Tensors in, tensors out: loading, prompts, generation; `training` and `evaluation` beside them."""

import os

# OpenMP's threads wait for each other at every operator, by default spinning. On a machine whose cores are busy
# (an editor, a build) the one that spins keeps the other from running: an embedding call of a second took a minute.
# It must be set before torch is imported, and whoever set it knows better.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
