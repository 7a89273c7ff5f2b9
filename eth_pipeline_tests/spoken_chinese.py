"""What is left in English of a text that is shown in Chinese.

Belongs here: telling words from codes. Does not belong: assertions, the words themselves (`contracts.wording`).
"""

import re

_CHINESE = re.compile(r"[一-鿿]")
_CODE = re.compile(
    r"`[^`]*`"  # what one types
    r"|（[a-z_]+）"  # a code behind its name
    r"|\b[A-Z]{3,}USD[TC]\b|\b(?:AUC|ONNX|SHA-256|MLflow|NTP|GB|UTC|K)\b|\b(?:bps|binance|make setup|klines)\b|\bml_\S+"
    r"|\d{4}-\d\d-\d\dT[\d:]+Z|\b[0-9a-f]{8,}\b|/\S+"  # instants, digests, paths
)
_WORD = re.compile(r"[A-Za-z]{2,}")


def english_in(text: str) -> list[str]:
    """The English words of a text; all of them where it has no Chinese at all."""
    left = _WORD.findall(_CODE.sub(" ", text))
    return left or ([] if _CHINESE.search(text) else [text])
