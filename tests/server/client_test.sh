#!/bin/sh
# Runs openai_client_test.py in a Python environment of its own, which it makes in the build
# folder when PyPI answers: client_test.sh BUILD_FOLDER PROGRAM MODEL
# Exits with 77 (skipped, for ctest) and a sentence where it cannot.
set -u
environment="$1/python-client"
here=$(dirname "$0")

skip() {
  echo "skipped: $1"
  exit 77
}

[ -f "$3" ] || skip "the model $3 is not there"
if [ ! -x "$environment/bin/python" ] || [ ! -f "$environment/ready" ]; then
  command -v python3 > /dev/null || skip "there is no python3"
  rm -rf "$environment"
  python3 -m venv "$environment" > /dev/null 2>&1 ||
    skip "python3 -m venv does not work (Debian: python3-venv)"
  timeout 180 "$environment/bin/pip" install --quiet --disable-pip-version-check --retries 1 \
    --timeout 10 openai jsonschema pyyaml > "$environment/pip.log" 2>&1 ||
    skip "PyPI does not answer; see $environment/pip.log"
  touch "$environment/ready"
fi
exec "$environment/bin/python" "$here/openai_client_test.py" --serve "$2" "$3"
