#!/bin/sh
# Install other people's TLS programs, which the interop tests talk to, from Debian's packages:
# only those that are missing, and only as root. Otherwise say in one line what to install.
set -u

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need openssl openssl
need gnutls-cli gnutls-bin
need curl curl
need nginx nginx-light
need node nodejs
need go golang-go
need java default-jdk-headless
need tstclnt libnss3-tools
need chromium chromium
need lighttpd lighttpd
[ -e /usr/lib/lighttpd/mod_wolfssl.so ] || missing="$missing lighttpd-mod-wolfssl"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "For the interop tests, install:$missing (without them those tests are skipped by name)"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
        echo "$package could not be installed; its interop tests are skipped by name"
done
exit 0
