"""What a poster's template and a text to copy may hold.

A poster is somebody else's markup in promoters' browsers, and they hand it on: nothing in it may run, load anything or
lead elsewhere. What it may hold is listed here; all else is refused, by its name.
"""

import re
from collections.abc import Mapping
from xml.parsers import expat

from tuike.admin.problems import Problem

MAX_POSTER = 96 * 1024
"""Bytes of UTF-8. With all texts it fits into a body (app.MAX_BODY), whatever of it JSON escapes."""
MAX_TEXTS = 10
MAX_TEXT = 500
"""Characters."""
MAX_DEPTH = 64
MAX_NAME = 40
"""Of a name in what is said of a poster; longer ones are cut."""

QR = "{{qr}}"
POSTER_PLACES = ("title", "line", "url", "promoter", "qr")
TEXT_PLACES = ("product", "category", "url", "coupon", "promoter")
PLACE = re.compile(r"\{\{([^{}]*)\}\}")

SVG = "http://www.w3.org/2000/svg"
ELEMENT = re.compile(
    "svg|g|defs|symbol|use|image|rect|circle|ellipse|line|polyline|polygon|path|text|tspan|textPath|title|desc"
    "|linearGradient|radialGradient|stop|pattern|clipPath|mask|marker|style|filter|fe(Blend|ColorMatrix"
    "|ComponentTransfer|Composite|ConvolveMatrix|DiffuseLighting|DisplacementMap|DistantLight|DropShadow|Flood"
    "|Func[ABGR]|GaussianBlur|Merge|MergeNode|Morphology|Offset|PointLight|SpecularLighting|SpotLight|Tile|Turbulence)"
)
CONTAINERS = ("svg", "g")  # where the code is drawn
PROSE = ("aria-label", "aria-description")
"""Attributes that are words alone. In any other, a word that is filled in could become an address or a style."""
LEADING = ("href", "src", "base")
INSIDE = re.compile(r"#[^\s{}]+")
IMAGE = re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/=\s]+")

BEFORE_NAME = re.compile(r"[\s),:;{}'\"]")
INSIDE_URL = re.compile(r"\s*(['\"]?)#[^\s'\"()\\]+\1\s*\)")
KNOWN_FUNCTION = re.compile(
    "url|rgba?|hsla?|calc|var|matrix|translate[xy]?|scale[xy]?|rotate|skew[xy]|blur|brightness|contrast|drop-shadow"
    "|grayscale|hue-rotate|invert|opacity|saturate|sepia"
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_poster(text: str) -> None:
    """Problem `bad_poster` for what is no poster, with what of it cannot be taken."""
    size = len(text.encode())
    if size > MAX_POSTER:
        raise _bad(f"it has {size} bytes, and may have {MAX_POSTER}")
    for name in PLACE.findall(text):
        if name not in POSTER_PLACES:
            known = " ".join(f"{{{{{place}}}}}" for place in POSTER_PLACES)
            raise _bad(f"there is no place {{{{{name}}}}}; the places are {known}")
    if QR not in text:
        raise _bad(f"it has no {QR}")
    try:
        _Reader(size).read(text)
    except expat.ExpatError as error:
        raise _bad(f"it is no well-formed XML: {error}") from error


def check_texts(texts: list[str]) -> None:
    """Problem `bad_text` for what is no line of words with known places."""
    for number, text in enumerate(texts, 1):
        if not text.strip() or CONTROL.search(text):
            raise Problem("bad_text", f"text {number} is not one line of words")
        for name in PLACE.findall(text):
            if name not in TEXT_PLACES:
                known = " ".join(f"{{{{{place}}}}}" for place in TEXT_PLACES)
                raise Problem("bad_text", f"text {number}: there is no place {{{{{name}}}}}; the places are {known}")


def _bad(detail: str) -> Problem:
    return Problem("bad_poster", detail)


class _Reader:
    """Reads a poster once, and raises Problem at the first thing that it may not hold."""

    def __init__(self, size: int) -> None:
        """`size` in bytes: text between two tags comes in one piece."""
        self._open: list[str] = []
        self._style = ""
        self._raw = False  # in a CDATA section
        parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.buffer_size = size + 1
        parser.buffer_text = True
        parser.XmlDeclHandler = _declared
        parser.StartDoctypeDeclHandler = _doctype
        parser.ProcessingInstructionHandler = _instruction
        parser.CommentHandler = _comment
        parser.StartNamespaceDeclHandler = _namespace
        parser.StartCdataSectionHandler = lambda: self._in_raw(True)
        parser.EndCdataSectionHandler = lambda: self._in_raw(False)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def read(self, text: str) -> None:
        self._parser.Parse(text, True)

    def _in_raw(self, raw: bool) -> None:
        self._raw = raw

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space != SVG:
            raise _bad(f"<{local}> is not of SVG's namespace, {SVG}")
        if not self._open and local != "svg":
            raise _bad(f"it begins with <{local}>, and a poster with <svg>")
        if ELEMENT.fullmatch(local) is None:
            raise _bad(f"a poster may have no <{local}>")
        if self._open and self._open[-1] == "style":
            raise _bad(f"<style> holds <{local}>")
        if len(self._open) == MAX_DEPTH:
            raise _bad(f"it is nested more than {MAX_DEPTH} deep")
        for attribute, value in attributes.items():
            _check_attribute(local, attribute.rpartition(" ")[2], value)
        self._open.append(local)
        self._style = ""

    def _end(self, name: str) -> None:
        if self._open.pop() == "style":
            if "@" in self._style:
                raise _bad("<style> has an at-rule (`@`)")
            _check_css("<style>", self._style)

    def _text(self, text: str) -> None:
        inside = self._open[-1]
        if self._raw and "{{" in text:
            raise _bad("a place stands in a CDATA section")
        if inside == "style":
            if "{{" in text:
                raise _bad("a place stands in <style>")
            # whole at the end: a comment in the middle divides it
            self._style += text
        if QR in text and inside not in CONTAINERS:
            raise _bad(f"{QR} stands in <{inside}>; it is drawn in <svg> or <g>")


def _declared(version: str, encoding: str | None, standalone: int) -> None:
    """Browsers would read it in its own encoding, and see another document than was judged."""
    if version != "1.0" or (encoding or "utf-8").lower() != "utf-8":
        raise _bad(f"it is XML {version} in {encoding}, and a poster is XML 1.0 in UTF-8")


def _doctype(name: str, *rest: object) -> None:
    raise _bad("a poster may have no DOCTYPE")


def _instruction(target: str, data: str) -> None:
    raise _bad(f"a poster may have no processing instruction (<?{target}>)")


def _comment(text: str) -> None:
    if "{{" in text:
        raise _bad("a place stands in a comment")


def _namespace(prefix: str | None, uri: str | None) -> None:
    if "{" in (uri or ""):
        raise _bad("a place stands in the name of a namespace")


def _check_attribute(element: str, name: str, value: str) -> None:
    where = f"`{name}` of <{element}>"
    folded = name.lower()
    if folded.startswith("on"):
        raise _bad(f"{where} is a script")
    if folded in PROSE:
        if QR in value:
            raise _bad(f"{QR} stands in {where}; it is drawn in <svg> or <g>")
        return
    if "{{" in value:
        raise _bad(f"a place stands in {where}; it may stand in text and in {' and '.join(PROSE)}")
    if folded in LEADING:
        if INSIDE.fullmatch(value) is None and IMAGE.fullmatch(value) is None:
            raise _bad(f"{where} leads elsewhere; it may be #NAME, or a data: URL of a PNG, JPEG, WebP or GIF image")
        return
    _check_css(where, value)


def _check_css(where: str, text: str) -> None:
    """Every attribute may be read as a style: `fill` is one."""
    if "\\" in text:
        raise _bad(f"{where} has a `\\`, which could write a name in another way")
    end = 0
    # not one pattern for name and bracket: it would look through a long path once from each of its signs
    for before in text.split("(")[:-1]:
        end += len(before) + 1
        name = BEFORE_NAME.split(before)[-1].lower()
        if name and KNOWN_FUNCTION.fullmatch(name) is None:
            raise _bad(f"{where} has {name[:MAX_NAME]}(), which a poster may not have")
        if name == "url" and INSIDE_URL.match(text, end) is None:
            raise _bad(f"{where} has a url() that leads elsewhere; it may be url(#NAME)")
