"""Token counts of content parts: their texts, and the tokens of what is not text, images by their size.

The lists and the rules are those of sent_amounts.sql and image_tokens.sql.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from kata_context.driver.values import json_text

MEDIA = 1500  # tokens of what is not text; providers shrink larger images
# Tuples, because a type may be anything before the database checks it.
IMAGES = ("image", "image_url", "input_image", "computer_screenshot", "image_generation_call")
MEDIA_TYPES = ("audio", "input_audio", "video", "file", "input_file", "container_upload", "base64", "url")
MEDIA_KEYS = {"audio", "inlineData", "inline_data", "fileData", "file_data"}
SEALED_TYPES = ("redacted_thinking", "reasoning.encrypted")
JSON_KEYS = {"input", "args", "arguments", "response"}
FRAME_KEYS = {
    "type", "id", "role", "status", "phase", "index", "call_id", "tool_use_id", "tool_call_id", "item_id",
    "file_id", "container_id", "media_type", "mime_type", "mimeType", "format", "detail", "cache_control",
    "prompt_cache_breakpoint", "citations", "annotations", "logprobs", "caller", "encrypted_index",
}  # fmt: skip
DEEPEST = 20  # levels; what is below counts as its JSON
LOW = 85  # tokens of an image in low detail
HEADER = 87_384  # characters of base64 of the first 64 kB; a thumbnail may precede the size
LARGEST = 100_000  # pixels a side


def sent_amounts(root: Any) -> list[str | int]:
    """Return what counts of parts, or of fields of a provider: texts, and the tokens of what is not text."""
    amounts: list[str | int] = []
    waiting = [("", root, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if isinstance(value, str):
            is_sealed, is_media = key == "encrypted_content", value.startswith("data:")
            amounts.append((len(value) + 3) // 4 if is_sealed else MEDIA if is_media else value)
        elif isinstance(value, Mapping):
            kind = value.get("type")
            if kind in IMAGES:
                amounts.append(image_tokens(value))
            elif kind in MEDIA_TYPES or key in MEDIA_KEYS:
                amounts.append(MEDIA)
            elif key in JSON_KEYS or depth == DEEPEST:
                amounts.append(json_text("parts", value))
            else:
                sealed = "data" if kind in SEALED_TYPES else None
                waiting += [
                    ("encrypted_content" if k == sealed else k, v, depth + 1)
                    for k, v in value.items()
                    if k not in FRAME_KEYS
                ]
        elif isinstance(value, (list, tuple)) and depth == DEEPEST:
            amounts.append(json_text("parts", value))
        elif isinstance(value, (list, tuple)):
            waiting += [(key, element, depth + 1) for element in value]
    return amounts


def image_tokens(image: Mapping[str, Any]) -> int:
    """Return the tokens of a part that is an image."""
    source, nested = image.get("source"), image.get("image_url")
    source, nested = (value if isinstance(value, Mapping) else {} for value in (source, nested))
    if (image.get("detail") or nested.get("detail")) == "low":
        return LOW
    sides: list[Any] = [image.get("width"), image.get("height")]
    if any(type(side) not in (int, float) for side in sides):
        files = source.get("data"), source.get("url"), nested.get("url"), image.get("image_url")
        sides = [*_size(next((file for file in (*files, image.get("result")) if isinstance(file, str)), ""))]
    width, height = (int(max(0, min(side, LARGEST))) for side in sides)
    if width < 1 or height < 1:
        return MEDIA
    return min(MEDIA, max(85 + 170 * -(-width // 512) * -(-height // 512), -(-width * height // 750)))


def _size(data: str) -> tuple[int, int]:
    """Return width and height of an image in base64, or of a data URL; 0 where they are not known."""
    data = data[data.find(",", 0, 200) + 1 if data.startswith("data:") else 0 :][:HEADER]
    try:
        header = b64decode(data[: len(data) // 4 * 4], validate=True)
    except ValueError:
        return 0, 0
    kind = header[:4] + header[8:16]
    little = int.from_bytes(header[20:30], "little")
    if len(header) < 30:
        return 0, 0
    if header.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    if header.startswith(b"GIF8"):
        return int.from_bytes(header[6:8], "little"), int.from_bytes(header[8:10], "little")
    if header.startswith(b"\xff\xd8"):
        return _jpeg_size(header)
    if kind == b"RIFFWEBPVP8X":
        return (little >> 32 & 0xFFFFFF) + 1, (little >> 56) + 1
    if kind == b"RIFFWEBPVP8L":
        return (little >> 8 & 0x3FFF) + 1, (little >> 22 & 0x3FFF) + 1
    if kind == b"RIFFWEBPVP8 ":
        return little >> 48 & 0x3FFF, little >> 64 & 0x3FFF
    return 0, 0


def _jpeg_size(header: bytes) -> tuple[int, int]:
    """Return width and height: segments of a length, until one starts a frame."""
    place = 2
    while place + 8 < len(header) and header[place] == 0xFF:
        if 0xC0 <= header[place + 1] <= 0xCF and header[place + 1] not in (0xC4, 0xC8, 0xCC):
            width, height = header[place + 7 : place + 9], header[place + 5 : place + 7]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        place += 2 + int.from_bytes(header[place + 2 : place + 4], "big")
    return 0, 0
