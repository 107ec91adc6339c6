"""The file of signing commands for an approver's own machine. Pure: text in, text out.

The file does nothing but write each manifest into a fresh folder, check its sha256, and have OpenSSL sign it. Whoever does
not want to run a file that a server made reads it with `fettle sign --key FILE THIS_FILE`, which runs nothing of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fettle_protocol.manifests import HEADER

_SIGNED = re.compile(r"([0-9a-f]{32})[:\s]\s*([A-Za-z0-9+/=]{80,100})")
_HERE = re.compile(r"<<'(FETTLE_[0-9a-f]{32})'\n(.*?\n)\1\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One manifest of a signing file: its id, its bytes, and what it would do in words."""

    uid: str
    body: bytes
    words: tuple[str, ...]


def write(title: str, sheets: Sequence[Sheet], bring: str) -> str:
    """The file: a POSIX shell script. `bring` says where the printed lines go."""
    head = [
        "#!/bin/sh",
        f"# Fettle asks you to sign: {title}",
        "#",
        "# Read what is below, then run this on a machine of your own where your private key is:",
        "#   KEY=/path/to/your.key sh THIS_FILE",
        "# or, without running it: fettle sign --key /path/to/your.key THIS_FILE",
        "# It needs OpenSSL 3 or newer, writes to a temporary folder, sends nothing, and prints a line for each signature.",
    ]
    for number, sheet in enumerate(sheets, 1):
        head += ["#", f"# {number} of {len(sheets)}:"] + [f"#   {line}" for line in sheet.words]
    parts = ["\n".join(head), _PROLOGUE, *(_signing(sheet) for sheet in sheets), _EPILOGUE.replace("BRING", bring)]
    return "\n".join(parts)


def bodies(text: str) -> list[bytes]:
    """The manifests that stand in a signing file, or the one that the text itself is."""
    if text.startswith(HEADER.decode()):
        return [text.encode()]
    return [found[1].encode() for found in _HERE.findall(text)]


def signature_line(uid: str, signature: bytes) -> str:
    """How a signature is printed and brought."""
    return f"{uid}:{base64.b64encode(signature).decode()}"


def signatures(pasted: str) -> list[tuple[str, bytes]]:
    """(manifest uid, signature) of each line that holds one; other words around them do not matter."""
    found = []
    for uid, text in _SIGNED.findall(pasted):
        try:
            found.append((uid, base64.b64decode(text, validate=True)))
        except binascii.Error:
            continue
    return found


def _signing(sheet: Sheet) -> str:
    """A here-document in quotes is taken as it is, and JSON has no line that could end it."""
    mark = f"FETTLE_{sheet.uid}"
    digest = hashlib.sha256(sheet.body).hexdigest()
    return f"cat >\"$FOLDER/{sheet.uid}\" <<'{mark}'\n{sheet.body.decode()}{mark}\nsign {sheet.uid} {digest}\n"


_PROLOGUE = """
set -eu
if [ -z "${KEY:-}" ] || [ ! -r "$KEY" ]; then
  echo "Say where your private key is: KEY=/path/to/your.key sh $0" >&2
  exit 1
fi
case "$(openssl version 2>/dev/null)" in
  "OpenSSL "[3-9].* | "OpenSSL "[1-9][0-9].*) ;;
  *) echo "This needs OpenSSL 3 or newer; here is: $(openssl version 2>&1)" >&2; exit 1 ;;
esac
umask 077
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
trap 'exit 1' HUP INT TERM
LINES_OUT="$FOLDER/signatures"
sign() {
  if [ "$(openssl dgst -sha256 -r "$FOLDER/$1" | cut -c 1-64)" != "$2" ]; then
    echo "Manifest $1 did not arrive as it was written: fetch this file again." >&2
    exit 1
  fi
  echo "sha256 of manifest $1: $2" >&2
  openssl pkeyutl -sign -rawin -inkey "$KEY" -in "$FOLDER/$1" -out "$FOLDER/$1.signature"
  printf '%s:%s\\n' "$1" "$(openssl base64 -A -in "$FOLDER/$1.signature")" >>"$LINES_OUT"
}
"""
_EPILOGUE = """
echo "Bring the next lines back: BRING" >&2
cat "$LINES_OUT"
"""
