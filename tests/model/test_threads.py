"""Who imports the model gets no threads that keep a core busy for nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRODUCTS = """
import model, os
import numpy as np
matrix = np.ones((600, 600), np.float32)
for _ in range(20):
    matrix @ matrix
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_products_of_numpy_take_one_thread() -> None:
    done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
