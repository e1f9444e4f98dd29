"""Phone numbers in E.164, however they are spelled. phonenumbers is large and rarely needed: it is loaded at need."""

import re

from service.errors import InvalidInputError

LONGEST = 40
_SPACING = re.compile(r"[\s()./-]+")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z", re.ASCII)


def e164(text: str, country: str = "") -> str:
    """The number in E.164. `country` (ISO 3166) reads one without country code; "" takes its digits for the whole.

    Spaces, brackets and dashes are left out, and `00` stands for `+`. Raises InvalidInputError where it is no number.
    """
    number = _SPACING.sub("", text)
    if len(text) <= LONGEST and number:
        number = f"+{number[2:]}" if number.startswith("00") else number
        if not number.startswith("+"):
            number = (_national(number, country) if country else "") or f"+{number}"
        if _E164.match(number):
            return number
    raise InvalidInputError(f"{text[:LONGEST]!r} is no phone number in E.164, such as +998901234567", "phone")


def shown(text: str, country: str = "") -> str:
    """The number in E.164 where it allows it: with a `+`, or by its country; else as it is."""
    number = _SPACING.sub("", text)
    if len(text) > LONGEST:
        return text
    if _E164.match(number):
        return number
    return (_national(number, country) if country else "") or text


def _national(number: str, country: str) -> str:
    """A number of this country in E.164; "" where it is none, as an extension is not."""
    import phonenumbers  # noqa: PLC0415 -- see above

    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(parsed):
        return ""
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
