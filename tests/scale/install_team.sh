#!/bin/sh
# moto's S3 server in an environment of its own, and a repository of a few thousand chunks: `install_team.sh FOLDER`.
# 200 MB. PYTHON names the Python that makes it.
set -eu
folder=$1
[ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder"
if [ ! -e "$folder/.installed" ]; then
    echo "installing moto into $folder (a minute)"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "moto[s3,server]>=5"
    "$folder/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --platform any --abi none --implementation py --dest "$folder/project" "sqlalchemy==2.0.36"
    "$folder/bin/python" -m zipfile -e "$folder"/project/*.whl "$folder/project"
    touch "$folder/.installed"
fi
