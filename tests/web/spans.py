"""How long something took, as pages, their script and the command line are to tell it."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

SPANS = (
    (0, "0 seconds", "0 segundos", "0 s"),
    (1, "1 second", "1 segundo", "1 s"),
    (59.5, "59 seconds", "59 segundos", "59 s"),
    (2 * _MINUTE - 1, "119 seconds", "119 segundos", "119 s"),
    (2 * _MINUTE, "2 minutes", "2 minutos", "2 min"),
    (73 * _MINUTE, "73 minutes", "73 minutos", "73 min"),
    (89 * _MINUTE + 59, "89 minutes", "89 minutos", "89 min"),
    (100 * _MINUTE, "100 minutes", "100 minutos", "100 min"),
    (2 * _HOUR, "2 hours", "2 horas", "2 h"),
    (35 * _HOUR, "35 hours", "35 horas", "35 h"),
    (2 * _DAY - 1, "47 hours", "47 horas", "47 h"),
    (2 * _DAY, "2 days", "2 días", "2 d"),
    (20.9 * _DAY, "20 days", "20 días", "20 d"),
    (400 * _DAY, "400 days", "400 días", "400 d"),
)
"""(seconds, in English, in Spanish, on the command line)"""
