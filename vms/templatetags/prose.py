"""Filters for texts that people read."""

from __future__ import annotations

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

_CODE = re.compile(r"`([^`]+)`")


@register.filter
def with_code(text: str) -> SafeString:
    """Show as code what stands between backticks. All of the text is escaped."""
    pieces = enumerate(_CODE.split(text))
    shown = ((format_html("<code>{}</code>", piece) if number % 2 else piece,) for number, piece in pieces)
    return format_html_join("", "{}", shown)
