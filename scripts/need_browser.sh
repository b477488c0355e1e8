#!/bin/sh
# The page tests drive a real Chromium: install it where that is possible, or fail with the reason.
set -eu
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "== Installing Chromium for the page tests"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji
    exit 0
fi
echo "The page tests need Chromium, and it cannot be installed from here: run 'apt-get install chromium' as root." >&2
exit 1
