#!/bin/sh
# Ray, moto's S3 server and this checkout in an environment of their own: `install_batch.sh FOLDER`. About 1 GB.
# PYTHON names the Python that makes it.
set -eu
folder=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
[ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder"
if [ ! -e "$folder/.installed" ] || [ "$here/pyproject.toml" -nt "$folder/.installed" ]; then
    echo "installing Ray and moto into $folder (a few minutes)"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --editable "$here[batch]" \
        "moto[s3,server]>=5" "pytest>=8" "pytest-timeout>=2.3" "pytest-asyncio>=1"
    touch "$folder/.installed"
fi
