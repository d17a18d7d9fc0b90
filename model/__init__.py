"""Arrays in, arrays out: loads a coder with its HEF adapter and completes at a cursor.

Importing this package imports neither torch nor ONNX Runtime; loading a model (`model.loading`) imports one of them.
"""

import os

from model.privacy import silence_libraries

silence_libraries()  # here, as nothing in this package can be imported before

# OpenMP's threads wait for each other at every operator, by default spinning. On a machine whose cores are busy
# (an editor, a build) the one that spins keeps the other from running: an embedding call of a second took a minute.
# It must be set before torch is imported, and whoever set it knows better.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The same of numpy's products: each of ours is over in a millisecond, and the second thread spins for a hundred more.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
