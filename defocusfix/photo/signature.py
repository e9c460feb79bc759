"""The name of the program that last changed a photo, put into its metadata."""

from __future__ import annotations

import re
from html import escape

from defocusfix.photo import ifd

SOFTWARE = 305
XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/"

_CREATOR_ATTRIBUTE = re.compile(rb"xmp:CreatorTool\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_CREATOR_TEXT = re.compile(rb"(?<=>)[^<>]*(?=</xmp:CreatorTool>)")
_DESCRIPTION = re.compile(rb"<rdf:Description\b")
_DESCRIPTION_THAT_KNOWS_XMP = re.compile(rb"<rdf:Description\b(?=[^>]*\bxmlns:xmp\s*=)")


def signed_exif(exif: bytes | None, software: str) -> bytes:
    """EXIF with the tag Software; a new block if there was none, and the old one if broken."""
    value = software.encode("ascii", "replace") + b"\0"
    entry = ifd.Entry(SOFTWARE, ifd.ASCII, len(value), value)
    if exif is None:
        return ifd.pack_block((entry,), "<")
    try:
        return ifd.with_tag(exif, entry)
    except ifd.BrokenTagsError:
        return exif


def signed_xmp(xmp: bytes, software: str) -> bytes:
    """XMP with the property CreatorTool. A packet without a place for it comes back as it was."""
    name = escape(software).encode()
    attribute = b'xmp:CreatorTool="' + name + b'"'
    places = [(_CREATOR_ATTRIBUTE, attribute), (_CREATOR_TEXT, name)]
    if b"xmlns:xmp" in xmp:
        places.append((_DESCRIPTION_THAT_KNOWS_XMP, b"<rdf:Description " + attribute))
    else:
        declared = b'<rdf:Description xmlns:xmp="' + XMP_NAMESPACE + b'" '
        places.append((_DESCRIPTION, declared + attribute))
    for place, text in places:
        found = place.search(xmp)
        if found:
            return xmp[: found.start()] + text + xmp[found.end() :]
    return xmp
